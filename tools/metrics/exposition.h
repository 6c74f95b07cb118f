// Exposition: metrics as text, in Prometheus's format (version 0.0.4). Names and units follow Prometheus's conventions: counters end in
// _total, sizes are in bytes, times in seconds.
//
// One thread.
#pragma once

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace tv::metrics {

using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

class Exposition {
 public:
  // What the samples after it belong to.
  void gauge(std::string_view name, std::string_view help) { family(name, "gauge", help); }
  void counter(std::string_view name, std::string_view help) { family(name, "counter", help); }

  // Values of labels may be any text; what is not UTF-8 is replaced, since a server refuses the whole page for it.
  template <std::integral T>
  void sample(T value, Labels labels = {}) {
    write(labels, std::to_string(value));
  }
  void sample(double value, Labels labels = {});

  const std::string& text() const { return text_; }

 private:
  void family(std::string_view name, std::string_view type, std::string_view help);
  void write(Labels labels, const std::string& value);

  std::string name_;
  std::string text_;
};

}  // namespace tv::metrics
