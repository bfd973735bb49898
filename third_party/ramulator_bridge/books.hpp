// What a run leaves behind: counts, the issue log, and the ticks each node spent in which state.
#pragma once

#include <vector>

#include "operations.hpp"

namespace ramulator_bridge {

struct LogRecord {
    int64_t tick;
    int32_t command;
    int32_t source;
    int32_t address[8];
};
static_assert(sizeof(LogRecord) == 48);

class Residency {
public:
    Residency(const Standard &standard, const Ramulator::DRAMDevice &device);

    int nodes() const { return static_cast<int>(nodes_.size()); }

    // To be told before Ramulator changes the banks: it compares with their present state.
    void issued(const Operation &operation, const Command &command, Tick tick);

    // out: active, precharged, refreshing and open-bank ticks of ticks 1 to `end`, each by node.
    void write(Tick end, int64_t *out) const;

private:
    struct Node {
        Tick accounted = 0;        // up to and with this tick
        Tick refreshing_until = 0;  // last tick
        int64_t open_banks = 0;
        int64_t active = 0, precharged = 0, refreshing = 0, open_bank_ticks = 0;
    };

    static void account(Node &node, Tick until);

    int banks_per_node_;
    std::vector<Node> nodes_;
};

}  // namespace ramulator_bridge
