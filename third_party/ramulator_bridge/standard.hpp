// A description, checked, and as the configuration that Ramulator's own loader reads.
#pragma once

#include <string>
#include <vector>

#include "ramulator/base/config_node.h"
#include "types.hpp"

namespace ramulator_bridge {

enum class Bus { Single, RowColumn, HalfClock };
enum class Slot { Row, Column };
enum class RowUse { None, Access, Open, Close, AllClosed };

struct Command {
    std::string name;
    int scope = 0;  // deepest level that an address of it names
    Slot slot = Slot::Row;
    int cycles = 1;
    RowUse row_use = RowUse::None;
    int opens = kNone;
    int closes = kNone;
    Tick completion = 0;
    bool falling_edge = false;
    bool auto_precharge = false;
    bool refresh = false;

    bool closes_row() const { return row_use == RowUse::Close || auto_precharge; }
    bool names_row() const { return row_use == RowUse::Access || row_use == RowUse::Open; }
};

// All of a description but its timing rows, which live in Ramulator's device alone.
struct Standard {
    std::vector<std::string> level_names;
    std::vector<int> sizes;
    int depth = 0;  // levels that a target names; Row and Column follow
    Bus bus = Bus::Single;
    std::vector<Command> commands;
    int n_rows = 0;
    int refresh_command = kNone;
    int refresh_scope = 0;
    int refresh_in_turn = 0;  // at or above the scope; the scope itself: all its nodes at a time
    Tick refresh_interval = 0;

    int n_levels() const { return depth + 2; }
    int residency_level() const { return refresh_command != kNone ? refresh_in_turn : (depth > 1 ? 1 : 0); }
};

// Throws Fault(PYR_BAD_DESCRIPTION) that names the command or the timing row.
Standard read_standard(const pyr_description &source);

// The configuration of the standard "PimDescription" (described_spec.hpp), timing rows included.
// Throws Fault(PYR_BAD_DESCRIPTION) where a row is none that Ramulator's 32-bit table can hold.
Ramulator::ConfigNode device_config(const pyr_description &source, const Standard &standard);

}  // namespace ramulator_bridge
