#include "tools/tensorctl/table.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "config/result.h"

namespace tv::ctl {
namespace {

constexpr std::size_t kGap = 2;
constexpr std::size_t kNarrowest = 8;  // a column is not cut below this
constexpr std::string_view kEllipsis = "\u2026";

bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }

// The first `width` characters; the last of them an ellipsis if something is cut.
std::string fitted(const std::string& text, std::size_t width) {
  if (display_width(text) <= width) return text;
  std::size_t at = 0, seen = 0;
  for (; at < text.size(); ++at)
    if (begins_character(text[at]) && seen++ == width - 1) break;
  return text.substr(0, at) + std::string(kEllipsis);
}

std::string_view colour_of(Tone tone) {
  switch (tone) {
    case Tone::kGood:
      return "\033[32m";
    case Tone::kWarning:
      return "\033[33m";
    case Tone::kBad:
      return "\033[31m";
    case Tone::kPlain:
      break;
  }
  return "";
}

std::string coloured(const std::string& text, Tone tone, const Screen& screen) {
  if (!screen.colours || tone == Tone::kPlain) return text;
  return std::string(colour_of(tone)) + text + "\033[0m";
}

// Takes from the widest column until all fit, as far as that goes.
void shrink(std::vector<std::size_t>& widths, std::size_t screen_width) {
  auto total = std::accumulate(widths.begin(), widths.end(), (widths.size() - 1) * kGap);
  while (total > screen_width) {
    auto widest = std::max_element(widths.begin(), widths.end());
    if (*widest <= kNarrowest) return;
    --*widest;
    --total;
  }
}

// How many columns there is room for, once they have been shrunk; one at least, and no narrower than any is cut. The last may be cut further.
std::size_t columns_that_fit(std::vector<std::size_t>& widths, std::size_t screen_width) {
  std::size_t used = 0;
  for (std::size_t i = 0; i < widths.size(); ++i) {
    std::size_t at = used + (i > 0 ? kGap : 0);
    if (at + widths[i] <= screen_width) {
      used = at + widths[i];
      continue;
    }
    if (at + kNarrowest / 2 > screen_width && i > 0) return i;
    std::size_t room = screen_width - std::min(at, screen_width);
    widths[i] = std::min(widths[i], std::max(room, i == 0 ? kNarrowest : 1));
    return i + 1;
  }
  return widths.size();
}

// Cut at blanks, so that it fits.
std::vector<std::string> folded(const std::string& text, std::size_t width) {
  std::vector<std::string> lines;
  std::string line;
  std::size_t at = 0;
  while (at < text.size()) {
    auto blank = text.find(' ', at);
    auto word = text.substr(at, blank == std::string::npos ? blank : blank - at);
    if (!line.empty() && display_width(line) + 1 + display_width(word) > width) {
      lines.push_back(std::move(line));
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
    at = blank == std::string::npos ? text.size() : blank + 1;
  }
  lines.push_back(std::move(line));
  return lines;
}

std::string row_line(const std::vector<Cell>& row, const std::vector<Column>& columns, const std::vector<std::size_t>& widths,
                     const Screen& screen) {
  std::string line;
  for (std::size_t i = 0; i < widths.size(); ++i) {
    if (i > 0) line.append(kGap, ' ');
    auto text = fitted(row[i].text, widths[i]);
    auto blanks = widths[i] - std::min(widths[i], display_width(text));
    if (columns[i].align == Align::kRight) line.append(blanks, ' ');
    line += coloured(text, row[i].tone, screen);
    if (columns[i].align == Align::kLeft && i + 1 < widths.size()) line.append(blanks, ' ');
  }
  return line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
}

}  // namespace

Screen Screen::of(int fd) {
  if (!::isatty(fd)) return {};
  Screen screen{.width = 80, .rows = 24};
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) screen.width = size.ws_col;
  if (size.ws_row > 0) screen.rows = size.ws_row;
  const char* no_colour = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  screen.cursor = !terminal || std::string_view(terminal) != "dumb";
  screen.colours = terminal && screen.cursor && !(no_colour && *no_colour);
  return screen;
}

std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), begins_character));
}

std::string printable(std::string_view text) {
  std::string out;
  for (unsigned char c : text) out += c < ' ' || c == 0x7f ? '?' : static_cast<char>(c);
  // C1 control characters (U+0080 to U+009F) are two bytes, the first of them 0xc2.
  for (std::size_t i = 0; i + 1 < out.size(); ++i) {
    if (static_cast<unsigned char>(out[i]) == 0xc2 && static_cast<unsigned char>(out[i + 1]) < 0xa0) out.replace(i, 2, "?");
  }
  return out;
}

void Table::add(std::vector<Cell> row) {
  TV_ASSERT(row.size() == columns_.size());
  for (auto& cell : row) cell.text = printable(cell.text);
  rows_.push_back(std::move(row));
}

std::string Table::render(const Screen& screen, bool with_headers) const {
  std::vector<std::size_t> widths;
  std::vector<Cell> headers;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    headers.push_back({columns_[i].header});
    std::size_t width = with_headers ? display_width(columns_[i].header) : 1;
    for (const auto& row : rows_) width = std::max(width, display_width(row[i].text));
    widths.push_back(width);
  }
  if (columns_.empty()) return {};
  if (screen.width > 0) {
    shrink(widths, screen.width);
    widths.resize(columns_that_fit(widths, screen.width));
  }
  std::string out = with_headers ? row_line(headers, columns_, widths, screen) : std::string();
  for (const auto& row : rows_) out += row_line(row, columns_, widths, screen);
  return out;
}

std::string render_lines(const std::vector<Line>& lines, const Screen& screen) {
  std::size_t width = 0;
  for (const auto& line : lines) width = std::max(width, display_width(line.key));
  std::string out;
  for (const auto& line : lines) {
    out += line.key + std::string(width - display_width(line.key) + kGap, ' ');
    auto text = printable(line.value.text);
    bool fits = screen.width <= width + kGap + kNarrowest || width + kGap + display_width(text) <= screen.width;
    auto parts = fits ? std::vector{text} : folded(text, screen.width - width - kGap);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (i > 0) out.append(width + kGap, ' ');
      out += coloured(parts[i], line.value.tone, screen) + '\n';
    }
  }
  return out;
}

}  // namespace tv::ctl
