#include "description.hpp"

#include <algorithm>

namespace pyramulator {
namespace {

constexpr int kMaxCommands = 4096;
constexpr int kMaxWindow = 1 << 20;
constexpr int64_t kMaxBanks = 1 << 20;
constexpr int kMaxRows = (1 << (kCodeBits - kRankShift)) - 1; // a Key has their ranks, from 1

void require(bool holds, const std::string &message) {
    if (!holds) throw Fault(PYR_BAD_DESCRIPTION, message);
}

void require_given(const void *pointer, const std::string &what) {
    require(pointer != nullptr, what + " must not be null");
}

void read_levels(const pyr_description &source, Device &device) {
    require(source.n_levels >= 3 && source.n_levels <= 8,
            "levels must be 3 to 8 names that end in Row and Column, not " +
                std::to_string(source.n_levels));
    device.depth = source.n_levels - 2;
    device.pseudo_level = device.depth > 1 ? 1 : 0;
    int64_t banks = 1;
    require_given(source.level_names, "level_names");
    require_given(source.sizes, "sizes");
    for (int i = 0; i < source.n_levels; ++i) {
        require_given(source.level_names[i], "the name of a level");
        device.level_names.emplace_back(source.level_names[i]);
        device.sizes.push_back(source.sizes[i]);
        require(source.sizes[i] >= 1, "size of level " + device.level_names.back() +
                                          " must be at least 1, not " +
                                          std::to_string(source.sizes[i]));
        if (i < device.depth) banks *= source.sizes[i];
        require(banks <= kMaxBanks,
                "the channel must have at most " + std::to_string(kMaxBanks) + " banks");
    }
    require(source.sizes[0] == 1, "size of level " + device.level_names[0] + " must be 1, not " +
                                      std::to_string(source.sizes[0]));
}

Command read_command(const pyr_command &source, int depth, int n_levels, int n_commands) {
    Command command;
    require_given(source.name, "the name of a command");
    command.name = source.name;
    const std::string who = "command " + command.name + ": ";
    require(source.scope >= 0 && source.scope < n_levels, who + "scope must be one of the levels");
    require(source.slot == kRowSlot || source.slot == kColumnSlot,
            who + "slot must be row or column");
    require(source.cycles >= 1,
            who + "cycles must be at least 1, not " + std::to_string(source.cycles));
    require(source.row_use >= 0 && source.row_use <= 4,
            who + "row_use must be one of the five uses");
    require(source.completion >= 0 && source.completion <= kMaxLatency,
            who + "completion must be 0 to 2^40 ticks, not " + std::to_string(source.completion));
    require(source.opens >= -1 && source.opens < n_commands, who + "opens must name a command");
    require(source.closes >= -1 && source.closes < n_commands, who + "closes must name a command");
    command.scope = std::min(source.scope, depth - 1);
    command.slot = source.slot;
    command.cycles = source.cycles;
    command.row_use = static_cast<RowUse>(source.row_use);
    command.opens = source.opens;
    command.closes = source.closes;
    command.completion = source.completion;
    command.falling_edge = source.falling_edge != 0;
    command.auto_precharge = source.auto_precharge != 0;
    command.refresh = source.refresh != 0;
    require(!command.auto_precharge || command.row_use == RowUse::Access,
            who + "auto_precharge must be on an access");
    require(!command.falling_edge || command.slot == kRowSlot,
            who + "falling_edge must be on a row command");
    return command;
}

void check_prerequisites(const Device &device) {
    for (const Command &command : device.commands) {
        const std::string who = "command " + command.name + ": ";
        if (command.opens >= 0) {
            const Command &opens = device.commands[command.opens];
            require(opens.row_use == RowUse::Open,
                    who + "opens must name an OPEN command, not " + opens.name);
            require(opens.scope >= command.scope,
                    who + "opens must not be wider than the command, as " + opens.name + " is");
        }
        if (command.closes >= 0) {
            const Command &closes = device.commands[command.closes];
            require(closes.row_use == RowUse::Close,
                    who + "closes must name a CLOSE command, not " + closes.name);
        }
    }
}

std::vector<int> read_indices(const int32_t *source, int n, int n_commands,
                              const std::string &who) {
    std::vector<int> out;
    if (n > 0) require_given(source, who + "its commands");
    for (int i = 0; i < n; ++i) {
        require(source[i] >= 0 && source[i] < n_commands, who + "command index must exist");
        if (std::find(out.begin(), out.end(), source[i]) == out.end()) out.push_back(source[i]);
    }
    return out;
}

void read_rows(const pyr_description &source, Device &device) {
    require(source.n_rows >= 0 && source.n_rows <= kMaxRows,
            "timing rows must be 0 to " + std::to_string(kMaxRows) + ", not " +
                std::to_string(source.n_rows));
    if (source.n_rows > 0) require_given(source.rows, "rows");
    for (int i = 0; i < source.n_rows; ++i) {
        const pyr_row &from = source.rows[i];
        const std::string who = "timing row " + std::to_string(i) + ": ";
        require(from.level >= 0 && from.level < device.depth,
                who + "level must be one that targets name, not Row or Column");
        require(from.window >= 1 && from.window <= kMaxWindow,
                who + "window must be 1 to 2^20, not " + std::to_string(from.window));
        require(from.latency >= -kMaxLatency && from.latency <= kMaxLatency,
                who + "latency must lie within 2^40 ticks, not " + std::to_string(from.latency));
        require(!from.sibling || from.level >= 1, who + "sibling must be below the first level");
        require(!from.sibling || from.window == 1, who + "sibling must have a window of 1");
        TimingRow row;
        row.level = from.level;
        row.window = from.window;
        row.latency = from.latency;
        row.sibling = from.sibling != 0;
        row.preceding = read_indices(from.preceding, from.n_preceding, source.n_commands, who);
        row.following = read_indices(from.following, from.n_following, source.n_commands, who);
        device.rows.push_back(std::move(row));
    }
}

void read_refresh(const pyr_description &source, Device &device) {
    if (source.refresh_command < 0) return;
    require(source.refresh_command < source.n_commands, "refresh must name a command");
    const Command &command = device.commands[source.refresh_command];
    const std::string who = "refresh by " + command.name + ": ";
    require(command.refresh, who + "the command must be marked refresh");
    require(!command.names_row(), who + "the command must not name a row");
    require(source.refresh_scope >= 0 && source.refresh_scope < device.depth,
            who + "scope must be a level that targets name");
    require(source.refresh_scope == command.scope, who + "scope must be that of the command");
    require(source.refresh_in_turn >= 0 && source.refresh_in_turn <= source.refresh_scope,
            who + "the level in which it takes turns must be its scope or above");
    require(source.refresh_interval >= 1 && source.refresh_interval <= kMaxLatency,
            who + "interval must be 1 to 2^40 ticks, not " +
                std::to_string(source.refresh_interval));
    device.refresh_command = source.refresh_command;
    device.refresh_scope = source.refresh_scope;
    device.refresh_in_turn = source.refresh_in_turn;
    device.refresh_interval = source.refresh_interval;
}

} // namespace

Device read_description(const pyr_description &source) {
    Device device;
    require(source.bus >= 0 && source.bus <= 2,
            "bus must be one of SINGLE, ROW_COLUMN, HALF_CLOCK");
    device.bus = static_cast<Bus>(source.bus);
    read_levels(source, device);
    require(source.n_commands >= 1 && source.n_commands <= kMaxCommands,
            "commands must be 1 to 4096, not " + std::to_string(source.n_commands));
    require_given(source.commands, "commands");
    for (int i = 0; i < source.n_commands; ++i)
        device.commands.push_back(
            read_command(source.commands[i], device.depth, source.n_levels, source.n_commands));
    check_prerequisites(device);
    read_rows(source, device);
    read_refresh(source, device);
    return device;
}

} // namespace pyramulator
