#include "standard.hpp"

#include <algorithm>

namespace ramulator_bridge {
namespace {

using Ramulator::ConfigNode;

constexpr Tick kLongest = Tick{1} << 40;
constexpr int kMostCommands = 4096;
constexpr int kWidestWindow = 1 << 20;
constexpr int64_t kMostBanks = 1 << 20;
// Ramulator keeps a queue for each command in each node, of as many ticks as the widest window.
constexpr int64_t kMostQueues = 1 << 21;        // 0.6 KB each
constexpr int64_t kMostHistory = int64_t{1} << 26;  // 8 bytes each

void must(bool holds, const std::string &message) {
    if (!holds) throw Fault(PYR_BAD_DESCRIPTION, message);
}

void must_be_given(const void *pointer, const std::string &what) {
    must(pointer != nullptr, what + " must not be null");
}

void read_levels(const pyr_description &source, Standard &out) {
    must(source.n_levels >= 3 && source.n_levels <= 8,
         "levels must be 3 to 8 names that end in Row and Column, not " + std::to_string(source.n_levels));
    out.depth = source.n_levels - 2;
    int64_t banks = 1;
    must_be_given(source.level_names, "level_names");
    must_be_given(source.sizes, "sizes");
    for (int level = 0; level < source.n_levels; ++level) {
        must_be_given(source.level_names[level], "the name of a level");
        const std::string name = source.level_names[level];
        const int size = source.sizes[level];
        must(size >= 1, "size of level " + name + " must be at least 1, not " + std::to_string(size));
        must(level > 0 || size == 1, "size of level " + name + " must be 1, not " + std::to_string(size));
        if (level < out.depth) banks *= size;
        must(banks <= kMostBanks, "the channel must have at most " + std::to_string(kMostBanks) + " banks");
        out.level_names.push_back(name);
        out.sizes.push_back(size);
    }
}

Command read_command(const pyr_command &source, const Standard &standard, int n_commands) {
    must_be_given(source.name, "the name of a command");
    const std::string who = std::string("command ") + source.name + ": ";
    must(source.scope >= 0 && source.scope < standard.n_levels(), who + "scope must be one of the levels");
    must(source.slot == 0 || source.slot == 1, who + "slot must be row or column");
    must(source.cycles >= 1, who + "cycles must be at least 1, not " + std::to_string(source.cycles));
    must(source.row_use >= 0 && source.row_use <= 4, who + "row_use must be one of the five uses");
    must(source.completion >= 0 && source.completion <= kLongest,
         who + "completion must be 0 to 2^40 ticks, not " + std::to_string(source.completion));
    must(source.opens >= kNone && source.opens < n_commands, who + "opens must name a command");
    must(source.closes >= kNone && source.closes < n_commands, who + "closes must name a command");
    Command out;
    out.name = source.name;
    out.scope = std::min(source.scope, standard.depth - 1);
    out.slot = source.slot == 1 ? Slot::Column : Slot::Row;
    out.cycles = source.cycles;
    out.row_use = static_cast<RowUse>(source.row_use);
    out.opens = source.opens;
    out.closes = source.closes;
    out.completion = source.completion;
    out.falling_edge = source.falling_edge != 0;
    out.auto_precharge = source.auto_precharge != 0;
    out.refresh = source.refresh != 0;
    must(!out.auto_precharge || out.row_use == RowUse::Access, who + "auto_precharge must be on an access");
    must(!out.falling_edge || out.slot == Slot::Row, who + "falling_edge must be on a row command");
    return out;
}

void check_prerequisites(const Standard &standard) {
    for (const Command &command : standard.commands) {
        const std::string who = "command " + command.name + ": ";
        if (command.opens != kNone) {
            const Command &opens = standard.commands[command.opens];
            must(opens.row_use == RowUse::Open, who + "opens must name an OPEN command, not " + opens.name);
            must(opens.scope >= command.scope,
                 who + "opens must not be wider than the command, as " + opens.name + " is");
        }
        if (command.closes != kNone) {
            const Command &closes = standard.commands[command.closes];
            must(closes.row_use == RowUse::Close, who + "closes must name a CLOSE command, not " + closes.name);
        }
    }
}

void read_refresh(const pyr_description &source, Standard &out) {
    if (source.refresh_command < 0) return;
    must(source.refresh_command < source.n_commands, "refresh must name a command");
    const Command &command = out.commands[source.refresh_command];
    const std::string who = "refresh by " + command.name + ": ";
    must(command.refresh, who + "the command must be marked refresh");
    must(!command.names_row(), who + "the command must not name a row");
    must(source.refresh_scope == command.scope, who + "scope must be that of the command");
    must(source.refresh_in_turn >= 0 && source.refresh_in_turn <= source.refresh_scope,
         who + "the level in which it takes turns must be its scope or above");
    must(source.refresh_interval >= 1 && source.refresh_interval <= kLongest,
         who + "interval must be 1 to 2^40 ticks, not " + std::to_string(source.refresh_interval));
    out.refresh_command = source.refresh_command;
    out.refresh_scope = source.refresh_scope;
    out.refresh_in_turn = source.refresh_in_turn;
    out.refresh_interval = source.refresh_interval;
}

ConfigNode command_list(const int32_t *commands, int n, int n_commands, const std::string &who) {
    ConfigNode::Seq out;
    if (n > 0) must_be_given(commands, who + "its commands");
    for (int i = 0; i < n; ++i) {
        must(commands[i] >= 0 && commands[i] < n_commands, who + "command index must exist");
        out.emplace_back(commands[i]);
    }
    return out;
}

ConfigNode timing_row(const pyr_row &row, int number, const Standard &standard) {
    const std::string who = "timing row " + std::to_string(number) + ": ";
    must(row.level >= 0 && row.level < standard.depth,
         who + "level must be one that targets name, not Row or Column");
    must(row.window >= 1 && row.window <= kWidestWindow,
         who + "window must be 1 to 2^20, not " + std::to_string(row.window));
    must(row.latency >= INT32_MIN && row.latency <= INT32_MAX,
         who + "latency must fit 32 bits for Ramulator, not " + std::to_string(row.latency));
    must(row.sibling == 0 || row.level >= 1, who + "sibling must be below the first level");
    must(row.sibling == 0 || row.window == 1, who + "sibling must have a window of 1");
    const int n_commands = static_cast<int>(standard.commands.size());
    return ConfigNode::Seq{row.level,
                           command_list(row.preceding, row.n_preceding, n_commands, who),
                           command_list(row.following, row.n_following, n_commands, who),
                           static_cast<long>(row.latency),
                           row.window,
                           row.sibling != 0};
}

void check_memory(const pyr_description &source, const Standard &standard) {
    int64_t nodes = 1, all_nodes = 0, history = 0;
    for (int level = 0; level < standard.depth; ++level) {
        nodes *= standard.sizes[level];
        all_nodes += nodes;
        for (int i = 0; i < source.n_rows; ++i) {
            const pyr_row &row = source.rows[i];
            if (row.level == level) history += nodes * row.window * std::max(row.n_preceding, 0);
            must(history <= kMostHistory, "windows must hold at most 2^26 ticks in all for Ramulator");
        }
    }
    must(all_nodes * source.n_commands <= kMostQueues,
         "nodes times commands must be at most 2^21 for Ramulator, not " +
             std::to_string(all_nodes * source.n_commands));
}

}  // namespace

Standard read_standard(const pyr_description &source) {
    Standard out;
    must(source.bus >= 0 && source.bus <= 2, "bus must be one of SINGLE, ROW_COLUMN, HALF_CLOCK");
    out.bus = static_cast<Bus>(source.bus);
    read_levels(source, out);
    must(source.n_commands >= 1 && source.n_commands <= kMostCommands,
         "commands must be 1 to 4096, not " + std::to_string(source.n_commands));
    must(source.n_rows >= 0, "timing rows must be at least 0");
    must_be_given(source.commands, "commands");
    if (source.n_rows > 0) must_be_given(source.rows, "rows");
    for (int i = 0; i < source.n_commands; ++i)
        out.commands.push_back(read_command(source.commands[i], out, source.n_commands));
    check_prerequisites(out);
    out.n_rows = source.n_rows;
    read_refresh(source, out);
    return out;
}

ConfigNode device_config(const pyr_description &source, const Standard &standard) {
    ConfigNode::Seq levels, sizes, names, cycles, effects, column_bus, rows;
    for (const std::string &name : standard.level_names) levels.emplace_back(name);
    for (int size : standard.sizes) sizes.emplace_back(size);
    for (const Command &command : standard.commands) {
        names.emplace_back(command.name);
        cycles.emplace_back(command.cycles);
        effects.emplace_back(command.row_use == RowUse::Open ? "open"
                             : command.closes_row()          ? "close"
                                                             : "none");
        column_bus.emplace_back(command.slot == Slot::Column);
    }
    for (int i = 0; i < source.n_rows; ++i) rows.push_back(timing_row(source.rows[i], i, standard));
    check_memory(source, standard);
    ConfigNode::Map dram{{"impl", "PimDescription"},
                         {"levels", levels},
                         {"commands", names},
                         {"effects", effects},
                         {"column_bus", column_bus},
                         // what Ramulator's loader asks for; no request of the host uses the data widths
                         {"channel_width", 1},
                         {"read_latency", 0},
                         {"timing", ConfigNode::Seq{}},
                         {"org", ConfigNode::Map{{"dq", 1}, {"count", sizes}}},
                         {"command_cycles", cycles},
                         {"timing_constraints", rows}};
    return ConfigNode::Map{{"dram", dram}};
}

}  // namespace ramulator_bridge
