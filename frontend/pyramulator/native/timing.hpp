// Timing rows compiled to flat tables: when may an operation issue, and what does its issue move?
//
// A tracker remembers, per node of one level, the last issue of any command of a set (or, for a row
// with a window, the window-th last of one command). An event of a command of scope depth d under a
// row of level l, seen by a command of scope depth D, is kept at level min(l, d, D): below that one
// of the two matches every child, so their nodes meet exactly if they meet there. So checks and
// updates touch the path only, however many banks the command covers.
#pragma once

#include <tuple>
#include <vector>

#include "tree.hpp"

namespace pyramulator {

// ready = slots[slot] + add
struct Check {
    uint32_t slot;
    Key add;
};

struct WindowStore {
    uint32_t slot;
    uint32_t window;
};

struct WindowPush {
    uint32_t ring;
    uint32_t first; // in window_stores
    uint32_t count;
};

struct Span {
    uint32_t first = 0;
    uint32_t last = 0;
};

// A command at a target, decoded once.
struct Operation {
    int32_t command = -1;
    int32_t target = -1;
    int32_t opens = -1; // operation at the same target, or -1
    int32_t closes = -1;
    uint8_t slot = kRowSlot; // kRowSlot throughout on a SINGLE bus
    RowUse row_use = RowUse::None;
    bool falling_edge = false;
    bool refresh = false;
    bool closes_row = false;
    bool plain = true; // its issue changes no bank, moves no window, starts no refresh
    int32_t cycles = 1;
    int32_t banks = 0;
    Tick completion = 0;
    Span checks, stores, pushes, ranges;
};

class Timing {
public:
    Timing(const Device &device, const Tree &tree, Targets &targets)
        : device_(device), tree_(tree), targets_(targets) {}

    // Operations are added first (each with its prerequisites), then compile() is called once.
    int operation(int command, Address address);
    void compile();

    Key pull(const Operation &op) const {
        Key key = 0;
        for (uint32_t i = op.checks.first; i < op.checks.last; ++i) {
            const Key candidate = slots_[checks_[i].slot] + checks_[i].add;
            key = candidate > key ? candidate : key;
        }
        return key;
    }

    void push(const Operation &op, Tick tick) {
        push_plain(op, tick);
        if (op.pushes.first != op.pushes.last) push_windows(op, tick);
    }

    void push_plain(const Operation &op, Tick tick) {
        const Key now = event(op, tick);
        const uint32_t *at = stores_.data() + op.stores.first,
                       *last = stores_.data() + op.stores.last;
        Key *slots = slots_.data();
        for (; at != last; ++at)
            slots[*at] = now;
    }

    // What a tracker keeps of an issue.
    static Key event(const Operation &op, Tick tick) {
        return stamp(tick) + (op.slot == kColumnSlot ? kColumnBit : 0);
    }

    // What the issue of operation i adds to the ready key of operation h: row i, column h. The last
    // column is that of "no operation". Null when there are too many operations for a table.
    const Key *effects(int i) const { return dense_ ? &effects_[size_t(i) * width_] : nullptr; }
    // By the same table: whether an issue of i may move a window that h looks at, and whether some
    // bank is matched by both.
    static constexpr uint8_t kMovesWindow = 1;
    static constexpr uint8_t kMeets = 2;
    const uint8_t *relations(int i) const { return &relations_[size_t(i) * width_]; }
    bool meet(int i, int h) const;
    bool share_pseudo_channel(int i, int h) const;

    const std::vector<Operation> &operations() const { return operations_; }
    // Rank (from 1) -> timing row.
    const std::vector<int> &rows_by_rank() const { return rows_by_rank_; }
    const std::vector<BankRange> &ranges() const { return ranges_; }

private:
    struct Tracker {
        std::vector<int> preceding;
        int level;
        bool sibling;
        int row; // windows only, else -1
        uint32_t base;
        auto key() const { return std::tie(preceding, level, sibling, row); }
    };
    struct Line { // one follower's use of a tracker
        int tracker;
        Key add;
    };
    struct Ring {
        uint32_t first, size, head;
    };

    void rank_rows();
    void compile_row(int number, Key rank);
    void compile_window(int number, Key rank);
    int tracker(const Tracker &wanted);
    void add_line(int follower, int tracker, Key add);
    void drop_dominated();
    bool dominates(const Line &a, const Line &b) const;
    void compile_operation(Operation &op, const Address &address);
    void compile_stores(Operation &op, const Address &address);
    void compile_pushes(Operation &op, const Address &address);
    void compile_effects();
    int ring_level(int row, int command) const;
    uint32_t ring(int command, int level, int node, int window);
    std::vector<int> window_nodes(const Tracker &to, int ring_level, int node) const;
    void push_windows(const Operation &op, Tick tick);

    const Device &device_;
    const Tree &tree_;
    Targets &targets_;
    std::vector<Operation> operations_;
    std::map<std::pair<int, int>, int> numbers_;
    std::vector<bool> used_; // commands that some operation has

    std::vector<int> rows_by_rank_;
    std::vector<Tracker> trackers_;
    std::vector<std::vector<Line>> lines_; // per following command
    std::map<std::tuple<int, int, int>, uint32_t> ring_numbers_;

    std::vector<Key> slots_;
    std::vector<Check> checks_;
    std::vector<uint32_t> stores_;
    std::vector<WindowPush> pushes_;
    std::vector<WindowStore> window_stores_;
    std::vector<Ring> rings_;
    std::vector<Tick> history_; // filled when all rings are known
    uint32_t history_size_ = 0;
    std::vector<BankRange> ranges_;

    bool dense_ = false;
    size_t width_ = 0;
    std::vector<Key> effects_;
    std::vector<uint8_t> relations_;
};

} // namespace pyramulator
