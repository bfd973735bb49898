#include "books.hpp"

#include <algorithm>

#include "described_spec.hpp"
#include "ramulator/dram/node.h"

namespace ramulator_bridge {

Residency::Residency(const Standard &standard, const Ramulator::DRAMDevice &device) {
    int nodes = 1;
    for (int level = 0; level <= standard.residency_level(); ++level) nodes *= standard.sizes[level];
    nodes_.resize(nodes);
    banks_per_node_ = static_cast<int>(device.m_bank_nodes.size()) / nodes;
}

// The state of a tick is the one after its commands: what changes at t holds from t on.
void Residency::issued(const Operation &operation, const Command &command, Tick tick) {
    if (!command.refresh && !operation.changes_banks()) return;
    const bool opens = operation.row_use == RowUse::Open;
    for (size_t i = 0; i < operation.banks.size(); ++i) {
        Node &node = nodes_[operation.bank_numbers[i] / banks_per_node_];
        account(node, tick - 1);
        if (operation.changes_banks())
            node.open_banks += int{opens} - int{operation.banks[i]->m_state != kClosed};
        if (command.refresh)
            node.refreshing_until = std::max(node.refreshing_until, tick + command.completion - 1);
    }
}

void Residency::account(Node &node, Tick until) {
    const Tick ticks = until - node.accounted;
    if (ticks <= 0) return;
    const Tick refreshing = std::clamp<Tick>(node.refreshing_until - node.accounted, 0, ticks);
    node.refreshing += refreshing;
    (node.open_banks > 0 ? node.active : node.precharged) += ticks - refreshing;
    int64_t open_bank_ticks;
    if (__builtin_mul_overflow(node.open_banks, ticks, &open_bank_ticks) ||
        __builtin_add_overflow(node.open_bank_ticks, open_bank_ticks, &node.open_bank_ticks))
        throw Fault(PYR_UNSUPPORTED, "the open-bank ticks of a node must be below 2^63");
    node.accounted = until;
}

void Residency::write(Tick end, int64_t *out) const {
    const size_t n = nodes_.size();
    for (size_t i = 0; i < n; ++i) {
        Node node = nodes_[i];
        account(node, end);
        out[i] = node.active;
        out[n + i] = node.precharged;
        out[2 * n + i] = node.refreshing;
        out[3 * n + i] = node.open_bank_ticks;
    }
}

}  // namespace ramulator_bridge
