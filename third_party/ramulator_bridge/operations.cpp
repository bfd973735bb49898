#include "operations.hpp"

#include <algorithm>

#include "ramulator/dram/node.h"

namespace ramulator_bridge {
namespace {

bool overlap(int a, int b) { return a == -1 || b == -1 || a == b; }

// Where the device keeps the command's ready times: in every node that the address matches, of the
// levels at which some timing row has it as the following command.
void gather_ready(const Ramulator::DRAMNode &node, int command, const Ramulator::AddrVec_t &address,
                  const std::vector<bool> &levels, std::vector<const Ramulator::Clk_t *> &out) {
    if (levels[node.m_level]) out.push_back(&node.m_cmd_ready_clk[command]);
    if (node.m_child_nodes.empty()) return;
    const int child = address[node.m_level + 1];
    for (const auto &each : node.m_child_nodes)
        if (child == -1 || child == each->m_node_id) gather_ready(*each, command, address, levels, out);
}

std::vector<bool> levels_that_constrain(const Ramulator::DRAMSpec &spec, int command) {
    std::vector<bool> levels;
    for (const auto &level : spec.timing_cons)
        levels.push_back(std::any_of(level.begin(), level.end(), [&](const auto &rows) {
            return std::any_of(rows.begin(), rows.end(), [&](const auto &row) { return row.cmd == command; });
        }));
    return levels;
}

}  // namespace

int Operations::make(int number, const Target &target) {
    const Command &command = standard_.commands[number];
    Target scoped(target);
    std::fill(scoped.begin() + command.scope + 1, scoped.end(), -1);
    const auto [place, is_new] = numbers_.try_emplace({number, scoped}, static_cast<int>(all_.size()));
    const int made = place->second;
    if (!is_new) return made;

    Operation operation{};
    operation.command = number;
    operation.address.assign(scoped.begin(), scoped.end());
    operation.address.resize(standard_.n_levels(), -1);
    for (size_t bank = 0; bank < device_.m_bank_nodes.size(); ++bank) {
        if (!Ramulator::DRAMDevice::bank_matches(device_.m_bank_nodes[bank], operation.address)) continue;
        operation.bank_numbers.push_back(static_cast<int>(bank));
        operation.banks.push_back(device_.m_bank_nodes[bank]);
    }
    gather_ready(*device_.m_root, number, operation.address, levels_that_constrain(*device_.m_spec, number),
                 operation.ready);
    operation.opens = operation.closes = kNone;
    operation.slot = command.slot;
    operation.row_use = command.row_use;
    operation.closes_row = command.closes_row();
    operation.falling_edge = command.falling_edge;
    all_.push_back(std::move(operation));
    // A prerequisite goes to the target of the request, with -1 below its own scope (rule 6).
    const bool may_open = command.row_use == RowUse::Access && command.opens != kNone;
    const bool may_close = command.row_use != RowUse::Close && command.row_use != RowUse::None &&
                           command.closes != kNone;
    const int opens = may_open ? make(command.opens, scoped) : kNone;
    const int closes = may_close ? make(command.closes, scoped) : kNone;
    all_[made].opens = opens;
    all_[made].closes = closes;
    return made;
}

Tick Operations::ready(int number) const {
    Tick ready = -1;
    for (const Ramulator::Clk_t *at : all_[number].ready) ready = std::max(ready, *at);
    return ready;
}

bool Operations::meet(int a, int b) const {
    const auto &one = all_[a].address, &other = all_[b].address;
    for (int level = 0; level < standard_.depth; ++level)
        if (!overlap(one[level], other[level])) return false;
    return true;
}

bool Operations::share_pseudo_channel(int a, int b) const {
    return standard_.depth < 2 || overlap(all_[a].address[1], all_[b].address[1]);
}

}  // namespace ramulator_bridge
