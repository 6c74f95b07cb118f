// Tables for people: aligned columns, fitted to a terminal, plain in a pipe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tv::ctl {

// Where the text goes. Width 0: as wide as it gets (a pipe or file).
struct Screen {
  std::size_t width = 0;
  std::size_t rows = 0;  // 0: no terminal
  bool cursor = false;   // can be moved: on a terminal that is not "dumb"
  bool colours = false;  // only on a terminal that can, and not when NO_COLOR is set

  static Screen of(int fd);
};

enum class Align { kLeft, kRight };
enum class Tone { kPlain, kGood, kWarning, kBad };

struct Column {
  std::string header;
  Align align = Align::kLeft;
};
struct Cell {
  std::string text;
  Tone tone = Tone::kPlain;
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // REQUIRES as many cells as columns. Control characters become '?': what others have named must not steer a terminal.
  void add(std::vector<Cell> row);
  bool empty() const { return rows_.empty(); }
  // Header and rows, a line each. Too wide for the screen: the widest columns are cut, with an ellipsis, and what still has no room is left out
  // on the right: no line is longer than the screen is wide.
  std::string render(const Screen& screen, bool headers = true) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// "key   value" lines, for one thing.
struct Line {
  std::string key;
  Cell value;
};
// On a screen, what is longer than a line goes on below itself.
std::string render_lines(const std::vector<Line>& lines, const Screen& screen);

// Characters, not bytes. Every character counts as one column wide.
std::size_t display_width(std::string_view text);
std::string printable(std::string_view text);

}  // namespace tv::ctl
