// Bank state (rule 6) and how long the nodes of one level spent in which (Residency).
#pragma once

#include <vector>

#include "timing.hpp"

namespace pyramulator {

constexpr int32_t kClosed = -1;

// Where a scope's banks stand against a row.
enum class ScopeState { Open, Closed, Other };

class Banks {
public:
    Banks(const Device &device, const Tree &tree, const Timing &timing);

    ScopeState state(const Operation &op, int32_t row) const {
        const BankRange *range = &timing_.ranges()[op.ranges.first];
        const int32_t expected = rows_[range->first];
        if (expected != row && expected != kClosed) return ScopeState::Other;
        for (uint32_t i = op.ranges.first; i < op.ranges.last; ++i, ++range) {
            const int32_t *bank = &rows_[range->first];
            int32_t differ = 0;
            for (int j = 0; j < range->count; ++j)
                differ |= bank[j] ^ expected;
            if (differ != 0) return ScopeState::Other;
        }
        return expected == kClosed ? ScopeState::Closed : ScopeState::Open;
    }

    bool all_closed(const Operation &op) const { return state(op, kClosed) != ScopeState::Other; }

    void open(const Operation &op, int32_t row, Tick tick) { set(op, row, tick); }
    void close(const Operation &op, Tick tick) { set(op, kClosed, tick); }
    void refresh(const Operation &op, Tick tick);

    // out: 4 x nodes: active, precharged, refreshing, open-bank ticks of ticks 1 to `end`.
    void residency(Tick end, int64_t *out);

private:
    struct Node {
        Tick since = 1; // ticks before it are accounted for
        Tick refresh_until = 0;
        int64_t open_banks = 0;
        int64_t active = 0, precharged = 0, refreshing = 0, open_bank_ticks = 0;
    };

    void set(const Operation &op, int32_t row, Tick tick);
    void settle(Node &node, Tick tick);

    const Timing &timing_;
    std::vector<int32_t> rows_; // by bank
    int banks_per_node_;
    std::vector<Node> nodes_;
};

} // namespace pyramulator
