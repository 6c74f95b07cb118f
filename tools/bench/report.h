// Report: what a benchmark found, as a table for people and JSON for programs. Options: how it was asked to measure.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tools/bench/statistics.h"

namespace tv::bench {

struct Options {
  std::vector<std::string> names;  // of benchmarks, in the order given
  bool json = false;
  bool quick = false;  // a look whether it works: too few samples for figures
  bool full = false;   // longer where time itself is measured
  std::string only;    // measure rows whose name contains this
  std::shared_ptr<std::vector<std::string>> rows = std::make_shared<std::vector<std::string>>();  // every name that wants() was asked for

  // In the process that makes the report, for every row it could have. Rows that are measured together may be asked for together: all of
  // them first, then those that are wanted are reported.
  bool wants(const std::string& row) const {
    rows->push_back(row);
    return row.find(only) != std::string::npos;
  }
};

struct Row {
  std::string name;
  std::string unit;
  bool more_is_better = false;
  Summary ours;
  std::optional<Summary> limit;
  std::map<std::string, Summary> peers;

  // By medians: 1.2 means that our figure is 1.2 times the other, whatever the unit.
  std::optional<double> ratio_to_limit() const;
  std::optional<double> ratio_to_best_peer() const;
  std::optional<std::string> best_peer() const;
};

struct Report {
  std::string benchmark;
  std::string limit;  // what the limit is
  std::vector<Row> rows;
  std::vector<std::string> notes;  // what a reader must know, such as a peer that is not there
};

// {"cpu", "processors", "kernel", "load"}: of this machine, now.
std::map<std::string, std::string> machine();

std::string table(const Report& report);
std::string json(const Report& report);  // one object, indented

}  // namespace tv::bench
