#include "worker/symbols.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

namespace tv::worker {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// One <length><text> of a mangled name. Moves `at` behind it; false when there is none.
bool write_part(const char*& at, const char* end, FixedText& out) {
  std::size_t length = 0;
  for (; at != end && is_digit(*at) && length < 4096; ++at) length = length * 10 + static_cast<std::size_t>(*at - '0');
  if (length == 0 || length > static_cast<std::size_t>(end - at)) return false;
  bool anonymous = length >= 11 && std::memcmp(at, "_GLOBAL__N_", 11) == 0;
  anonymous ? out << "(anonymous namespace)" : out.append(at, length);
  at += length;
  return true;
}

// A file of this process, mapped for reading; size 0 when that failed.
class MappedFile {
 public:
  explicit MappedFile(const char* path) {
    int fd = ::open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    struct stat info {};
    if (::fstat(fd, &info) == 0 && info.st_size > 0) {
      void* at = ::mmap(nullptr, static_cast<std::size_t>(info.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
      if (at != MAP_FAILED) {
        data_ = static_cast<const char*>(at);
        size_ = static_cast<std::size_t>(info.st_size);
      }
    }
    ::close(fd);
  }
  ~MappedFile() {
    if (data_) ::munmap(const_cast<char*>(data_), size_);
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  // `count` objects at `offset`; null when they are not in the file.
  template <class T>
  const T* at(std::uint64_t offset, std::uint64_t count = 1) const {
    if (offset % alignof(T) != 0 || offset > size_ || count > (size_ - offset) / sizeof(T)) return nullptr;
    return reinterpret_cast<const T*>(data_ + offset);
  }
  // A string that ends within the file.
  const char* text(std::uint64_t offset) const {
    return offset < size_ && std::memchr(data_ + offset, 0, size_ - offset) ? data_ + offset : nullptr;
  }

 private:
  const char* data_ = nullptr;
  std::size_t size_ = 0;
};

struct Found {
  const char* name = nullptr;
  std::uint64_t offset = 0;
};

// The address that byte `file_offset` of the module has where it is not moved.
std::uint64_t link_address(const MappedFile& file, const Elf64_Ehdr& header, std::uint64_t file_offset) {
  const auto* segments = file.at<Elf64_Phdr>(header.e_phoff, header.e_phnum);
  for (int i = 0; segments && i < header.e_phnum; ++i) {
    const auto& segment = segments[i];
    if (segment.p_type == PT_LOAD && file_offset >= segment.p_offset && file_offset - segment.p_offset < segment.p_filesz)
      return file_offset - segment.p_offset + segment.p_vaddr;
  }
  return 0;
}

Found find_in_table(const MappedFile& file, const Elf64_Ehdr& header, std::uint32_t kind, std::uint64_t address) {
  const auto* sections = file.at<Elf64_Shdr>(header.e_shoff, header.e_shnum);
  for (int i = 0; sections && i < header.e_shnum; ++i) {
    if (sections[i].sh_type != kind || sections[i].sh_link >= header.e_shnum) continue;
    std::uint64_t count = sections[i].sh_size / sizeof(Elf64_Sym);
    const auto* symbols = file.at<Elf64_Sym>(sections[i].sh_offset, count);
    for (std::uint64_t n = 0; symbols && n < count; ++n) {
      const auto& symbol = symbols[n];
      if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_shndx == SHN_UNDEF) continue;
      if (address < symbol.st_value || address - symbol.st_value >= symbol.st_size) continue;
      return {file.text(sections[sections[i].sh_link].sh_offset + symbol.st_name), address - symbol.st_value};
    }
  }
  return {};
}

Found find_symbol(const MappedFile& file, std::uint64_t file_offset) {
  const auto* header = file.at<Elf64_Ehdr>(0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_ident[EI_CLASS] != ELFCLASS64) return {};
  auto address = link_address(file, *header, file_offset);
  auto found = find_in_table(file, *header, SHT_SYMTAB, address);
  return found.name ? found : find_in_table(file, *header, SHT_DYNSYM, address);
}

// One line of /proc/self/maps at a time.
class Maps {
 public:
  Maps() : fd_(::open("/proc/self/maps", O_RDONLY | O_CLOEXEC)) {}
  ~Maps() {
    if (fd_ >= 0) ::close(fd_);
  }
  Maps(const Maps&) = delete;
  Maps& operator=(const Maps&) = delete;

  bool next(char* line, std::size_t room) {
    std::size_t size = 0;
    for (;;) {
      if (at_ == end_) {
        ssize_t n = fd_ < 0 ? 0 : ::read(fd_, buffer_, sizeof buffer_);
        if (n <= 0) return false;
        at_ = 0;
        end_ = static_cast<std::size_t>(n);
      }
      char c = buffer_[at_++];
      if (c == '\n') break;
      if (size + 1 < room) line[size++] = c;
    }
    line[size] = 0;
    return true;
  }

 private:
  int fd_;
  char buffer_[1024];
  std::size_t at_ = 0, end_ = 0;
};

std::uint64_t read_hex(const char*& at) {
  std::uint64_t n = 0;
  for (;; ++at) {
    if (is_digit(*at))
      n = n * 16 + static_cast<std::uint64_t>(*at - '0');
    else if (*at >= 'a' && *at <= 'f')
      n = n * 16 + static_cast<std::uint64_t>(*at - 'a' + 10);
    else
      return n;
  }
}

}  // namespace

FixedText& FixedText::append(const char* text, std::size_t bytes) {
  std::size_t fits = bytes < kRoom - size_ ? bytes : kRoom - size_;
  std::memcpy(text_ + size_, text, fits);
  size_ += fits;
  text_[size_] = 0;
  return *this;
}
FixedText& FixedText::operator<<(const char* text) { return append(text, std::strlen(text)); }

FixedText& FixedText::number(std::uint64_t n) {
  char digits[20];
  std::size_t at = sizeof digits;
  do digits[--at] = static_cast<char>('0' + n % 10);
  while ((n /= 10) != 0);
  return append(digits + at, sizeof digits - at);
}

FixedText& FixedText::hex(std::uint64_t n) {
  char digits[16];
  std::size_t at = sizeof digits;
  do digits[--at] = "0123456789abcdef"[n % 16];
  while ((n /= 16) != 0);
  return (*this << "0x").append(digits + at, sizeof digits - at);
}

// _Z <name>, or _ZN [const, volatile, &] <name>+ [C1 D1: constructor, destructor] E (Itanium C++ ABI, 5.1).
void write_readable_name(const char* mangled, FixedText& out) {
  const char* end = mangled + std::strlen(mangled);
  if (std::strncmp(mangled, "_Z", 2) != 0) {
    out << mangled;
    return;
  }
  FixedText name;
  const char* at = mangled + 2;
  bool nested = at != end && *at == 'N';
  if (nested)
    for (++at; at != end && std::strchr("KVrRO", *at); ++at) {
    }
  bool good = write_part(at, end, name);
  while (good && nested && at != end && *at != 'E') {
    if (!is_digit(*at)) {
      bool special = end - at >= 3 && (*at == 'C' || *at == 'D') && is_digit(at[1]) && at[2] == 'E';
      if (special) name << (*at == 'C' ? "::(constructor)" : "::(destructor)");
      good = special;
      break;
    }
    name << "::";
    good = write_part(at, end, name);
  }
  out << (good ? name.c_str() : mangled);
}

void write_symbol(std::uintptr_t address, FixedText& out) {
  Maps maps;
  char line[4096 + 128];
  while (maps.next(line, sizeof line)) {
    const char* at = line;
    std::uint64_t begin = read_hex(at);
    std::uint64_t end = read_hex(++at);
    if (address < begin || address >= end) continue;
    const char* path = std::strchr(line, '/');
    if (!path) break;
    for (++at; *at != 0 && *at != ' '; ++at) {  // permissions
    }
    std::uint64_t file_offset = read_hex(++at) + (address - begin);
    const char* base = std::strrchr(path, '/') + 1;
    MappedFile file(path);
    auto found = find_symbol(file, file_offset);
    if (!found.name) {
      (out << base << "+").hex(file_offset);
      return;
    }
    write_readable_name(found.name, out);
    (out << "+").hex(found.offset) << " in " << base;
    return;
  }
  out.hex(address);
}

}  // namespace tv::worker
