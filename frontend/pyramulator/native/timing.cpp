#include "timing.hpp"

#include <algorithm>
#include <numeric>
#include <tuple>
#include <unordered_map>

namespace pyramulator {
namespace {

constexpr uint32_t kMaxHistory = 1 << 26; // ticks, of 8 bytes
constexpr size_t kMaxDense = 1024; // operations; the table of effects then takes 8 MiB

bool contains(const std::vector<int> &all, int one) {
    return std::find(all.begin(), all.end(), one) != all.end();
}

bool includes(const std::vector<int> &all, const std::vector<int> &some) {
    return std::all_of(some.begin(), some.end(), [&](int one) { return contains(all, one); });
}

} // namespace

int Timing::operation(int command, Address address) {
    const Command &source = device_.commands[command];
    for (int level = source.scope + 1; level < device_.depth; ++level)
        address[level] = -1;
    const int target = targets_.id(address);
    const auto [place, is_new] =
        numbers_.try_emplace({command, target}, static_cast<int>(operations_.size()));
    const int number = place->second;
    if (!is_new) return number;
    Operation op;
    op.command = command;
    op.target = target;
    op.slot = device_.bus == Bus::Single ? kRowSlot : source.slot;
    op.row_use = source.row_use;
    op.falling_edge = source.falling_edge;
    op.refresh = source.refresh;
    op.closes_row = source.closes_row();
    op.cycles = source.cycles;
    op.completion = source.completion;
    operations_.push_back(op);
    if (source.opens >= 0) {
        const int opens = operation(source.opens, address);
        operations_[number].opens = opens;
    }
    if (source.closes >= 0) {
        const int closes = operation(source.closes, address);
        operations_[number].closes = closes;
    }
    return number;
}

void Timing::compile() {
    used_.assign(device_.commands.size(), false);
    for (const Operation &op : operations_)
        used_[op.command] = true;
    lines_.resize(device_.commands.size());
    rank_rows();
    drop_dominated();
    uint32_t slots = 0;
    for (Tracker &one : trackers_) {
        one.base = slots;
        slots += tree_.nodes(one.level);
    }
    slots_.assign(slots, kNever);
    for (Operation &op : operations_)
        compile_operation(op, targets_.address(op.target));
    history_.assign(history_size_, kForever);
    operations_.push_back({}); // "nothing": what a head without a command to issue points at
    compile_effects();
}

void Timing::rank_rows() {
    std::vector<int> order(device_.rows.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int a, int b) { return device_.rows[a].level < device_.rows[b].level; });
    rows_by_rank_.assign(order.size() + 1, -1);
    for (size_t i = 0; i < order.size(); ++i) {
        const size_t rank = order.size() - i; // from 1; 0 is "no row"
        rows_by_rank_[rank] = order[i];
        if (device_.rows[order[i]].window == 1) {
            compile_row(order[i], static_cast<Key>(rank) << kRankShift);
        } else {
            compile_window(order[i], static_cast<Key>(rank) << kRankShift);
        }
    }
}

void Timing::compile_row(int number, Key rank) {
    const TimingRow &row = device_.rows[number];
    // Refreshes apart, since stalls tell them apart.
    std::map<std::pair<int, bool>, std::vector<int>> sets;
    for (int command : row.preceding) {
        const Command &source = device_.commands[command];
        if (row.sibling && source.scope < row.level) continue; // a wildcard has no siblings
        if (used_[command]) sets[{source.scope, source.refresh}].push_back(command);
    }
    for (auto &[what, commands] : sets) {
        const auto [depth, refresh] = what;
        std::sort(commands.begin(), commands.end());
        const Key add = stamp(row.latency) + rank + (refresh ? kRefreshBit : 0);
        for (int follower : row.following) {
            if (!used_[follower]) continue;
            const int seen = std::min({row.level, depth, device_.commands[follower].scope});
            add_line(follower,
                     tracker({commands, row.sibling ? row.level : seen, row.sibling, -1, 0}), add);
        }
    }
}

// One tracker for all of the row's preceding commands: it keeps which of equal times came first.
void Timing::compile_window(int number, Key rank) {
    const TimingRow &row = device_.rows[number];
    std::vector<int> commands;
    for (int command : row.preceding)
        if (used_[command]) commands.push_back(command);
    if (commands.empty()) return;
    for (int follower : row.following) {
        if (!used_[follower]) continue;
        const int level = std::min(row.level, device_.commands[follower].scope);
        add_line(follower, tracker({commands, level, false, number, 0}), stamp(row.latency) + rank);
    }
}

int Timing::tracker(const Tracker &wanted) {
    for (size_t i = 0; i < trackers_.size(); ++i)
        if (trackers_[i].key() == wanted.key()) return static_cast<int>(i);
    trackers_.push_back(wanted);
    return static_cast<int>(trackers_.size()) - 1;
}

void Timing::add_line(int follower, int tracker, Key add) {
    for (Line &line : lines_[follower]) {
        if (line.tracker == tracker) {
            line.add = std::max(line.add, add);
            return;
        }
    }
    lines_[follower].push_back({tracker, add});
}

// b can never be the greatest: every event that it sees is seen by a, which adds more to it.
bool Timing::dominates(const Line &a, const Line &b) const {
    const Tracker &over = trackers_[a.tracker];
    const Tracker &under = trackers_[b.tracker];
    const int seen = under.sibling ? under.level - 1 : under.level;
    return a.add > b.add && over.row < 0 && !over.sibling && under.row < 0 && over.level <= seen &&
           includes(over.preceding, under.preceding);
}

void Timing::drop_dominated() {
    std::vector<int> uses(trackers_.size(), 0);
    for (auto &lines : lines_) {
        std::vector<Line> kept;
        for (const Line &line : lines) {
            if (std::none_of(lines.begin(), lines.end(),
                             [&](const Line &a) { return dominates(a, line); }))
                kept.push_back(line);
        }
        lines.swap(kept);
        for (const Line &line : lines)
            ++uses[line.tracker];
    }
    std::vector<int> renamed(trackers_.size(), -1);
    std::vector<Tracker> used;
    for (size_t i = 0; i < trackers_.size(); ++i) {
        if (uses[i] == 0) continue;
        renamed[i] = static_cast<int>(used.size());
        used.push_back(trackers_[i]);
    }
    trackers_.swap(used);
    for (auto &lines : lines_)
        for (Line &line : lines)
            line.tracker = renamed[line.tracker];
}

void Timing::compile_operation(Operation &op, const Address &address) {
    op.checks.first = static_cast<uint32_t>(checks_.size());
    for (const Line &line : lines_[op.command]) {
        const Tracker &from = trackers_[line.tracker];
        for (int node : tree_.matched(address, from.level))
            checks_.push_back({from.base + node, line.add});
    }
    op.checks.last = static_cast<uint32_t>(checks_.size());
    compile_stores(op, address);
    compile_pushes(op, address);
    op.ranges.first = static_cast<uint32_t>(ranges_.size());
    for (const BankRange &range : tree_.bank_ranges(address)) {
        ranges_.push_back(range);
        op.banks += range.count;
    }
    op.ranges.last = static_cast<uint32_t>(ranges_.size());
    op.plain = !device_.commands[op.command].changes_banks() && !op.refresh &&
               op.pushes.first == op.pushes.last;
}

void Timing::compile_stores(Operation &op, const Address &address) {
    op.stores.first = static_cast<uint32_t>(stores_.size());
    for (const Tracker &to : trackers_) {
        if (to.row >= 0 || !contains(to.preceding, op.command)) continue;
        if (to.sibling && address[to.level] < 0) continue;
        for (int node : tree_.matched(address, to.level)) {
            if (!to.sibling) {
                stores_.push_back(to.base + node);
            } else {
                for (int other : tree_.siblings(node, to.level))
                    stores_.push_back(to.base + other);
            }
        }
    }
    op.stores.last = static_cast<uint32_t>(stores_.size());
}

// History is kept per command, and per node where pushes can differ: all nodes below see the same.
int Timing::ring_level(int row, int command) const {
    return std::min(device_.rows[row].level, device_.commands[command].scope);
}

// The nodes of a tracker that see the ring of a node.
std::vector<int> Timing::window_nodes(const Tracker &to, int ring_level, int node) const {
    if (to.level <= ring_level) return {tree_.ancestor(node, ring_level, to.level)};
    return tree_.matched(tree_.address_of(node, ring_level), to.level);
}

void Timing::compile_pushes(Operation &op, const Address &address) {
    std::map<int, int> longest; // by ring level
    for (const Tracker &to : trackers_) {
        if (to.row < 0 || !contains(to.preceding, op.command)) continue;
        int &window = longest[ring_level(to.row, op.command)];
        window = std::max(window, device_.rows[to.row].window);
    }
    op.pushes.first = static_cast<uint32_t>(pushes_.size());
    for (const auto &[level, longest_window] : longest) {
        for (int node : tree_.matched(address, level)) {
            WindowPush push{ring(op.command, level, node, longest_window),
                            uint32_t(window_stores_.size()), 0};
            for (const Tracker &to : trackers_) {
                if (to.row < 0 || !contains(to.preceding, op.command)) continue;
                if (ring_level(to.row, op.command) != level) continue;
                const uint32_t window = static_cast<uint32_t>(device_.rows[to.row].window);
                for (int seen : window_nodes(to, level, node))
                    window_stores_.push_back({to.base + seen, window});
            }
            push.count = static_cast<uint32_t>(window_stores_.size()) - push.first;
            pushes_.push_back(push);
        }
    }
    op.pushes.last = static_cast<uint32_t>(pushes_.size());
}

uint32_t Timing::ring(int command, int level, int node, int window) {
    const auto [place, is_new] =
        ring_numbers_.try_emplace({command, level, node}, static_cast<uint32_t>(rings_.size()));
    if (is_new) {
        if (history_size_ + window > kMaxHistory)
            throw Fault(PYR_BAD_DESCRIPTION, "windows must hold at most 2^26 ticks in all");
        rings_.push_back({history_size_, uint32_t(window), 0});
        history_size_ += window;
    }
    return place->second;
}

void Timing::push_windows(const Operation &op, Tick tick) {
    for (uint32_t i = op.pushes.first; i < op.pushes.last; ++i) {
        const WindowPush &push = pushes_[i];
        Ring &ring = rings_[push.ring];
        ring.head = ring.head + 1 == ring.size ? 0 : ring.head + 1;
        history_[ring.first + ring.head] = tick;
        for (uint32_t j = push.first; j < push.first + push.count; ++j) {
            const uint32_t back = window_stores_[j].window - 1;
            const uint32_t at = ring.head >= back ? ring.head - back : ring.head + ring.size - back;
            const Tick then = history_[ring.first + at];
            Key &slot = slots_[window_stores_[j].slot];
            if (then != kForever && then > ready_tick(slot))
                slot = stamp(then) + (op.refresh ? kRefreshBit : 0);
        }
    }
}

bool Timing::meet(int i, int h) const {
    const int a = operations_[i].target, b = operations_[h].target;
    if (a == b) return a >= 0;
    return a >= 0 && b >= 0 && pyramulator::meet(targets_.address(a), targets_.address(b));
}

bool Timing::share_pseudo_channel(int i, int h) const {
    const Address &a = targets_.address(operations_[i].target),
                  &b = targets_.address(operations_[h].target);
    for (int l = 0; l <= device_.pseudo_level; ++l)
        if (a[l] >= 0 && b[l] >= 0 && a[l] != b[l]) return false;
    return true;
}

// effects[i][h] follows from the slots that i stores to and h checks.
void Timing::compile_effects() {
    dense_ = operations_.size() <= kMaxDense;
    if (!dense_) return;
    width_ = operations_.size();
    effects_.assign(width_ * width_, kNever);
    relations_.assign(width_ * width_, 0);
    std::unordered_map<uint32_t, std::vector<std::pair<int, Key>>> readers;
    for (size_t h = 0; h < width_; ++h)
        for (uint32_t i = operations_[h].checks.first; i < operations_[h].checks.last; ++i)
            readers[checks_[i].slot].push_back({static_cast<int>(h), checks_[i].add});
    for (size_t i = 0; i < width_; ++i) {
        const Operation &op = operations_[i];
        for (size_t h = 0; h < width_; ++h)
            if (meet(static_cast<int>(i), static_cast<int>(h)))
                relations_[i * width_ + h] |= kMeets;
        for (uint32_t j = op.stores.first; j < op.stores.last; ++j) {
            for (const auto &[h, add] : readers[stores_[j]]) {
                Key &effect = effects_[i * width_ + h];
                effect = std::max(effect, add);
            }
        }
        for (uint32_t j = op.pushes.first; j < op.pushes.last; ++j) {
            const WindowPush &push = pushes_[j];
            for (uint32_t k = push.first; k < push.first + push.count; ++k)
                for (const auto &[h, add] : readers[window_stores_[k].slot])
                    relations_[i * width_ + h] |= kMovesWindow;
        }
    }
}

} // namespace pyramulator
