// The device: the checked C++ form of pyr_description.
#pragma once

#include <string>
#include <vector>

#include "types.hpp"

namespace pyramulator {

enum class Bus { Single, RowColumn, HalfClock };
enum class RowUse { None, Access, Open, Close, AllClosed };

constexpr int kRowSlot = 0;
constexpr int kColumnSlot = 1;

struct Command {
    std::string name;
    int scope = 0; // index of a target level
    int slot = kRowSlot;
    int cycles = 1;
    RowUse row_use = RowUse::None;
    int opens = -1;
    int closes = -1;
    Tick completion = 0;
    bool falling_edge = false;
    bool auto_precharge = false;
    bool refresh = false;

    // Whether a row that is open before may be closed after (rule 9).
    bool closes_row() const { return row_use == RowUse::Close || auto_precharge; }
    bool changes_banks() const { return closes_row() || row_use == RowUse::Open; }
    bool names_row() const { return row_use == RowUse::Access || row_use == RowUse::Open; }
};

struct TimingRow {
    int level = 0;
    std::vector<int> preceding;
    std::vector<int> following;
    Tick latency = 0;
    int window = 1;
    bool sibling = false;
};

struct Device {
    std::vector<std::string> level_names;
    std::vector<int> sizes;
    int depth = 0;        // levels that a target names
    int pseudo_level = 0; // pairing rule: level 1, where there is one
    Bus bus = Bus::Single;
    std::vector<Command> commands;
    std::vector<TimingRow> rows;
    int refresh_command = -1;
    int refresh_scope = 0;
    int refresh_in_turn = 0; // at or above the scope; the scope itself: all its nodes at a time
    Tick refresh_interval = 0;

    int residency_level() const {
        return refresh_command >= 0 ? refresh_in_turn : (depth > 1 ? 1 : 0);
    }
};

// Throws Fault(PYR_BAD_DESCRIPTION) with the name of the command or the number of the row.
Device read_description(const pyr_description &source);

} // namespace pyramulator
