#include "shm/huge_pages.h"

#include <fstream>

namespace tv::shm {
namespace {

constexpr const char* kSwitch = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";

}  // namespace

HugePageSupport huge_page_support(const std::string& text) {
  auto begin = text.find('[');
  auto end = text.find(']', begin == std::string::npos ? 0 : begin);
  if (begin == std::string::npos || end == std::string::npos)
    return {false, std::string("this kernel has no huge pages for shared memory (no ") + kSwitch + ")"};
  std::string now = text.substr(begin + 1, end - begin - 1);
  if (now == "always" || now == "within_size" || now == "advise" || now == "force") return {true, ""};
  return {false, "the kernel's setting for shared memory is \"" + now + "\"; as root: echo advise > " + kSwitch};
}

HugePageSupport huge_page_support() {
  std::ifstream file(kSwitch);
  std::string line;
  std::getline(file, line);
  return huge_page_support(line);
}

}  // namespace tv::shm
