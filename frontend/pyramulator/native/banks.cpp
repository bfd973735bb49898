#include "banks.hpp"

#include <algorithm>

namespace pyramulator {

Banks::Banks(const Device &device, const Tree &tree, const Timing &timing)
    : timing_(timing), rows_(tree.banks(), kClosed),
      banks_per_node_(tree.banks() / tree.nodes(device.residency_level())),
      nodes_(tree.nodes(device.residency_level())) {}

// A change at `tick` holds from that tick on: the ticks before it are in the state so far.
void Banks::settle(Node &node, Tick tick) {
    const Tick span = tick - node.since;
    if (span <= 0) return;
    const Tick refreshing = std::clamp<Tick>(node.refresh_until - node.since, 0, span);
    node.refreshing += refreshing;
    (node.open_banks > 0 ? node.active : node.precharged) += span - refreshing;
    int64_t open_bank_ticks;
    if (__builtin_mul_overflow(node.open_banks, span, &open_bank_ticks) ||
        __builtin_add_overflow(node.open_bank_ticks, open_bank_ticks, &node.open_bank_ticks))
        throw Fault(PYR_UNSUPPORTED, "the open-bank ticks of a node must be below 2^63");
    node.since = tick;
}

void Banks::set(const Operation &op, int32_t row, Tick tick) {
    for (uint32_t i = op.ranges.first; i < op.ranges.last; ++i) {
        const BankRange range = timing_.ranges()[i];
        int bank = range.first;
        const int last = range.first + range.count;
        while (bank < last) {
            Node &node = nodes_[bank / banks_per_node_];
            const int stop = std::min(last, (bank / banks_per_node_ + 1) * banks_per_node_);
            settle(node, tick);
            for (; bank < stop; ++bank) {
                node.open_banks += int(row != kClosed) - int(rows_[bank] != kClosed);
                rows_[bank] = row;
            }
        }
    }
}

void Banks::refresh(const Operation &op, Tick tick) {
    for (uint32_t i = op.ranges.first; i < op.ranges.last; ++i) {
        const BankRange range = timing_.ranges()[i];
        const int last = (range.first + range.count - 1) / banks_per_node_;
        for (int at = range.first / banks_per_node_; at <= last; ++at) {
            settle(nodes_[at], tick);
            nodes_[at].refresh_until = std::max(nodes_[at].refresh_until, tick + op.completion);
        }
    }
}

void Banks::residency(Tick end, int64_t *out) {
    const size_t n = nodes_.size();
    for (size_t i = 0; i < n; ++i) {
        Node node = nodes_[i];
        settle(node, end + 1);
        out[i] = node.active;
        out[n + i] = node.precharged;
        out[2 * n + i] = node.refreshing;
        out[3 * n + i] = node.open_bank_ticks;
    }
}

} // namespace pyramulator
