// The header of a .npy file is a Python dictionary literal with three keys. This reads that much of Python and no more.
#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "shm/files/npy.h"

namespace tv::files {
namespace {

using shm::DType;

constexpr std::size_t kMaxShapeItems = 64;  // more than NumPy allows; the limit of tensors is checked by the caller
constexpr std::size_t kMaxEcho = 40;        // bytes of the header that an error repeats

struct Code {
  std::string_view name;  // kind and bytes, as NumPy writes it after the byte order
  DType dtype;
};
constexpr std::array<Code, 14> kCodes = {{{"b1", DType::kBool},
                                          {"u1", DType::kUInt8},
                                          {"i1", DType::kInt8},
                                          {"i2", DType::kInt16},
                                          {"i4", DType::kInt32},
                                          {"i8", DType::kInt64},
                                          {"u2", DType::kUInt16},
                                          {"u4", DType::kUInt32},
                                          {"u8", DType::kUInt64},
                                          {"f2", DType::kFloat16},
                                          {"f4", DType::kFloat32},
                                          {"f8", DType::kFloat64},
                                          {"c8", DType::kComplex64},
                                          {"c16", DType::kComplex128}}};

Error bad(const std::string& what) { return {Errc::kCorrupt, "not a readable .npy file: in its header, " + what}; }

std::string echo(std::string_view text) {
  std::string out = "'";
  for (unsigned char c : text.substr(0, kMaxEcho)) out += c < ' ' || c >= 0x7f ? '?' : static_cast<char>(c);
  return out + (text.size() > kMaxEcho ? "...'" : "'");
}

// What the numbers and letters of a dtype that cannot be read stand for.
std::string why_unreadable(std::string_view code) {
  auto kind = code.size() > 1 ? code[1] : '?';
  switch (kind) {
    case 'O':
      return "holds pickled Python objects, which are never loaded; save a numeric array";
    case 'U':
    case 'S':
      return "is text; tensors hold numbers";
    case 'V':
      return "has no type that NumPy can name (bfloat16 and float8 look so); save it as .safetensors";
    case 'M':
    case 'm':
      return "is a date or time; convert it to int64 first";
    default:
      return "is not an element type of tensors; use b1, u1 to u8, i1 to i8, f2, f4, f8, c8 or c16";
  }
}

class Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  Result<NpyHeader> parse() {
    if (!take('{')) return bad("a dictionary was expected");
    while (!take('}')) {
      if (auto entry = parse_entry(); !entry) return entry.error();
      if (!take(',') && !peek('}')) return bad("a comma or } was expected at " + echo(rest_));
    }
    skip_blanks();
    if (!rest_.empty()) return bad("something follows the dictionary: " + echo(rest_));
    if (!have_descr_ || !have_order_ || !have_shape_) return bad("one of 'descr', 'fortran_order' and 'shape' is missing");
    return header_;
  }

 private:
  void skip_blanks() {
    auto at = rest_.find_first_not_of(" \t\r\n");
    rest_.remove_prefix(at == std::string_view::npos ? rest_.size() : at);
  }
  bool peek(char c) {
    skip_blanks();
    return !rest_.empty() && rest_.front() == c;
  }
  bool take(char c) {
    if (!peek(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool take_word(std::string_view word) {
    skip_blanks();
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }

  Result<std::string_view> parse_string() {
    skip_blanks();
    char quote = rest_.empty() ? '\0' : rest_.front();
    if (quote != '\'' && quote != '"') return bad("a string was expected at " + echo(rest_));
    auto end = rest_.find(quote, 1);
    if (end == std::string_view::npos) return bad("a string has no end");
    auto text = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    return text;
  }

  Result<void> parse_entry() {
    auto key = TV_TRY(parse_string());
    if (!take(':')) return bad("a colon was expected after " + echo(key));
    if (key == "descr") return first(have_descr_, key, [&] { return parse_descr(); });
    if (key == "fortran_order") return first(have_order_, key, [&] { return parse_order(); });
    if (key == "shape") return first(have_shape_, key, [&] { return parse_shape(); });
    return bad("the key " + echo(key) + " is unknown");
  }

  template <class Body>
  Result<void> first(bool& have, std::string_view key, Body body) {
    if (std::exchange(have, true)) return bad("the key " + echo(key) + " stands twice");
    return body();
  }

  Result<void> parse_descr() {
    if (peek('[') || peek('('))
      return Error{Errc::kUnsupported, "the array has a structured dtype (records); save each field as an array of its own"};
    auto code = TV_TRY(parse_string());
    if (code.empty() || std::string_view("<>=|").find(code.front()) == std::string_view::npos)
      return bad("the dtype " + echo(code) + " does not begin with a byte order");
    auto found = std::find_if(kCodes.begin(), kCodes.end(), [&](const Code& c) { return c.name == code.substr(1); });
    if (found == kCodes.end()) return Error{Errc::kUnsupported, "dtype " + echo(code) + " " + why_unreadable(code)};
    header_.dtype = found->dtype;
    header_.big_endian = code.front() == '>';
    return {};
  }

  Result<void> parse_order() {
    if (take_word("True")) {
      header_.fortran_order = true;
    } else if (!take_word("False")) {
      return bad("'fortran_order' must be True or False");
    }
    return {};
  }

  Result<void> parse_shape() {
    if (!take('(')) return bad("'shape' must be a tuple");
    while (!take(')')) {
      header_.shape.push_back(TV_TRY(parse_size()));
      if (header_.shape.size() > kMaxShapeItems) return bad("'shape' has too many numbers");
      if (!take(',') && !peek(')')) return bad("a comma or ) was expected at " + echo(rest_));
    }
    return {};
  }

  Result<std::int64_t> parse_size() {
    skip_blanks();
    constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
    std::int64_t value = 0;
    std::size_t digits = 0;
    for (; !rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9'; rest_.remove_prefix(1), ++digits) {
      std::int64_t digit = rest_.front() - '0';
      if (value > (kMost - digit) / 10) return bad("a size in 'shape' does not fit 64 bits");
      value = value * 10 + digit;
    }
    if (digits == 0) return bad("'shape' must hold whole numbers that are not negative, found " + echo(rest_));
    if (!rest_.empty() && rest_.front() == 'L') rest_.remove_prefix(1);  // Python 2 wrote long integers so
    return value;
  }

  std::string_view rest_;
  NpyHeader header_;
  bool have_descr_ = false, have_order_ = false, have_shape_ = false;
};

}  // namespace

Result<NpyHeader> parse_npy_header(std::string_view dictionary) { return Parser(dictionary).parse(); }

}  // namespace tv::files
