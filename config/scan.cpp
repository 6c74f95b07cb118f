#include "config/scan.h"

#include <algorithm>
#include <cstdio>

namespace tv::config {
namespace {

// Follows just enough of TOML's syntax to tell keys from strings and comments. Where the text is not valid TOML it may lose its way:
// toml++ stops there.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  std::optional<Fault> run() {
    while (at_ < text_.size()) {
      char c = text_[at_];
      if (is_control(c)) return Fault{place_, "byte " + escaped(text_.substr(at_, 1)) + ": not a text; TOML in UTF-8 is expected"};
      if (state_ == State::kCode && c == '.' && ++dots_ >= limits::kMaxKeyParts)
        return Fault{place_, "a key of more than " + std::to_string(limits::kMaxKeyParts) + " parts"};
      step(c);
    }
    return std::nullopt;
  }

 private:
  enum class State { kCode, kComment, kString, kLongString };

  static bool is_control(char c) { return (static_cast<unsigned char>(c) < ' ' && c != '\t' && c != '\n' && c != '\r') || c == 0x7f; }

  void step(char c) {
    switch (state_) {
      case State::kCode:
        return step_code(c);
      case State::kComment:
        if (c == '\n') return end_line();
        return advance();
      case State::kString:
        if (c == '\n') return end_line();
        if (c == quote_) state_ = State::kCode;
        return advance(escapes(c) ? 2 : 1);
      case State::kLongString:
        if (c == quote_ && quotes_here() >= 3) {
          // Up to two quotes more belong to the string.
          state_ = State::kCode;
          return advance(std::min<std::size_t>(quotes_here(), 5));
        }
        return advance(escapes(c) ? 2 : 1);
    }
  }

  void step_code(char c) {
    if (std::string_view("\n=,{}[]").find(c) != std::string_view::npos) dots_ = 0;
    if (c == '#') state_ = State::kComment;
    if (c != '"' && c != '\'') return advance();
    quote_ = c;
    bool is_long = quotes_here() >= 3;
    state_ = is_long ? State::kLongString : State::kString;
    advance(is_long ? 3 : 1);
  }

  void end_line() {
    state_ = State::kCode;
    step_code('\n');
  }

  // A control character after a backslash is not skipped: it must be seen.
  bool escapes(char c) const {
    return c == '\\' && quote_ == '"' && at_ + 1 < text_.size() && !is_control(text_[at_ + 1]) && text_[at_ + 1] != '\n';
  }

  std::size_t quotes_here() const {
    auto end = text_.find_first_not_of(quote_, at_);
    return (end == std::string_view::npos ? text_.size() : end) - at_;
  }

  void advance(std::size_t bytes = 1) {
    for (; bytes > 0; --bytes, ++at_) {
      auto c = static_cast<unsigned char>(text_[at_]);
      if (c == '\n')
        place_ = {place_.line + 1, 1};
      else if ((c & 0xc0) != 0x80)
        ++place_.column;
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
  Place place_{1, 1};
  State state_ = State::kCode;
  char quote_ = '"';
  std::size_t dots_ = 0;  // of the key at hand
};

}  // namespace

std::optional<Fault> fault_in_text(std::string_view text) { return Scanner(text).run(); }

std::string escaped(std::string_view text) {
  std::string out;
  for (unsigned char c : text) {
    char code[8];
    std::snprintf(code, sizeof code, "\\x%02x", c);
    if (c < ' ' || c == 0x7f)
      out += code;
    else
      out += static_cast<char>(c);
  }
  return out;
}

}  // namespace tv::config
