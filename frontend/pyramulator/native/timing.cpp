#include "timing.hpp"

#include <algorithm>
#include <numeric>
#include <tuple>
#include <unordered_map>

namespace pyramulator {
namespace {

constexpr size_t kMaxDense = 1024;  // operations; the table of effects then takes 8 MiB

bool contains(const std::vector<int> &all, int one) {
    return std::find(all.begin(), all.end(), one) != all.end();
}

bool includes(const std::vector<int> &all, const std::vector<int> &some) {
    return std::all_of(some.begin(), some.end(), [&](int one) { return contains(all, one); });
}

}  // namespace

int Timing::operation(int command, int target) {
    const auto [place, is_new] = numbers_.try_emplace({command, target}, static_cast<int>(operations_.size()));
    const int number = place->second;
    if (!is_new) return number;
    const Command &source = device_.commands[command];
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
    // A prerequisite's own prerequisites are never asked for: it issues in the state it needs.
    if (source.opens >= 0) {
        const int opens = operation(source.opens, target);
        operations_[number].opens = opens;
    }
    if (source.closes >= 0) {
        const int closes = operation(source.closes, target);
        operations_[number].closes = closes;
    }
    return number;
}

void Timing::compile(const Targets &targets) {
    for (int i = 0; i < targets.size(); ++i) addresses_.push_back(targets.address(i));
    used_.assign(device_.commands.size(), false);
    for (const Operation &op : operations_) used_[op.command] = true;
    lines_.resize(device_.commands.size());
    number_codes();
    compile_rows();
    drop_dominated();
    uint32_t slots = 0;
    for (Tracker &one : trackers_) {
        one.base = slots;
        slots += tree_.nodes(one.level);
    }
    slots_.assign(slots, kNever);
    for (Operation &op : operations_) compile_operation(op, addresses_[op.target]);
    Operation nothing;  // what a head that has no command to issue points at
    operations_.push_back(nothing);
    compile_effects();
}

// A code is higher the earlier the row stands in the order of rule 17's ties: outermost level, row
// order, then the place of the preceding command in the row. A row's preceding commands are cut into
// runs of refreshes and others, since only the two have to be told apart.
void Timing::number_codes() {
    std::vector<int> order(device_.rows.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int a, int b) { return device_.rows[a].level < device_.rows[b].level; });
    runs_.resize(device_.rows.size());
    uint32_t total = 0;
    for (int row : order) {
        for (int command : device_.rows[row].preceding) {
            auto &runs = runs_[row];
            const bool refresh = device_.commands[command].refresh;
            if (runs.empty() || device_.commands[runs.back().first.back()].refresh != refresh)
                runs.push_back({{}, total++});
            runs.back().first.push_back(command);
        }
    }
    if (total >= kCodeMask) throw Fault(PYR_BAD_DESCRIPTION, "there must be fewer than 65535 timing rows");
    codes_.assign(total + 1, {-1, false});
    for (int row : order) {
        for (auto &[commands, code] : runs_[row]) {
            code = total - code;  // from 1; 0 is "no row"
            codes_[code] = {row, device_.commands[commands.front()].refresh};
        }
    }
}

void Timing::compile_rows() {
    for (size_t i = 0; i < device_.rows.size(); ++i)
        for (const auto &[run, code] : runs_[i]) compile_run(device_.rows[i], run, code);
}

void Timing::compile_run(const TimingRow &row, const std::vector<int> &run, uint32_t code) {
    const Key add = stamp(row.latency) + code;
    std::map<int, std::vector<int>> by_depth;
    for (int command : run)
        if (used_[command]) by_depth[device_.commands[command].scope].push_back(command);
    for (auto &[depth, commands] : by_depth) {
        std::sort(commands.begin(), commands.end());
        if (row.sibling && depth < row.level) continue;  // a wildcard has no siblings
        for (int follower : row.following) {
            if (!used_[follower]) continue;
            const int place = std::min(row.level, depth);
            const int level = row.sibling ? row.level : std::min(place, device_.commands[follower].scope);
            if (row.window == 1) {
                add_line(follower, tracker({commands, level, 1, 0, row.sibling, 0}), add);
            } else {
                for (int command : commands)
                    add_line(follower, tracker({{command}, level, row.window, place, row.sibling, 0}), add);
            }
        }
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
    return a.add > b.add && over.window == 1 && !over.sibling && under.window == 1 && over.level <= seen &&
           includes(over.preceding, under.preceding);
}

void Timing::drop_dominated() {
    std::vector<int> uses(trackers_.size(), 0);
    for (auto &lines : lines_) {
        std::vector<Line> kept;
        for (const Line &line : lines) {
            if (std::none_of(lines.begin(), lines.end(), [&](const Line &a) { return dominates(a, line); }))
                kept.push_back(line);
        }
        lines.swap(kept);
        for (const Line &line : lines) ++uses[line.tracker];
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
        for (Line &line : lines) line.tracker = renamed[line.tracker];
}

void Timing::compile_operation(Operation &op, const Address &address) {
    op.checks.first = static_cast<uint32_t>(checks_.size());
    for (const Line &line : lines_[op.command]) {
        const Tracker &from = trackers_[line.tracker];
        for (int node : tree_.matched(address, from.level)) checks_.push_back({from.base + node, line.add});
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
    op.plain = !device_.commands[op.command].changes_banks() && op.pushes.first == op.pushes.last;
}

void Timing::compile_stores(Operation &op, const Address &address) {
    op.stores.first = static_cast<uint32_t>(stores_.size());
    for (const Tracker &to : trackers_) {
        if (to.window != 1 || !contains(to.preceding, op.command)) continue;
        if (to.sibling && address[to.level] < 0) continue;
        for (int node : tree_.matched(address, to.level)) {
            if (!to.sibling) {
                stores_.push_back(to.base + node);
            } else {
                for (int other : tree_.siblings(node, to.level)) stores_.push_back(to.base + other);
            }
        }
    }
    op.stores.last = static_cast<uint32_t>(stores_.size());
}

void Timing::compile_pushes(Operation &op, const Address &address) {
    // History is kept per command and per node at ring_level: all nodes below see the same pushes.
    std::map<int, int> longest;  // by ring level
    for (const Tracker &to : trackers_)
        if (to.window > 1 && contains(to.preceding, op.command))
            longest[to.ring_level] = std::max(longest[to.ring_level], to.window);
    op.pushes.first = static_cast<uint32_t>(pushes_.size());
    for (const auto &[level, window] : longest) {
        for (int node : tree_.matched(address, level)) {
            WindowPush push{ring(op.command, level, node, window), uint32_t(window_stores_.size()), 0};
            for (const Tracker &to : trackers_) {
                if (to.window == 1 || to.ring_level != level || !contains(to.preceding, op.command)) continue;
                if (!to.sibling) {
                    const uint32_t slot = to.base + tree_.ancestor(node, level, to.level);
                    window_stores_.push_back({slot, uint32_t(to.window)});
                } else if (address[to.level] >= 0) {
                    for (int other : tree_.siblings(node, level))
                        window_stores_.push_back({to.base + other, uint32_t(to.window)});
                }
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
        rings_.push_back({uint32_t(history_.size()), uint32_t(window), 0});
        history_.resize(history_.size() + window, kForever);
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
            if (then != kForever) slot = std::max(slot, stamp(then));
        }
    }
}

bool Timing::meet(int i, int h) const {
    const int a = operations_[i].target, b = operations_[h].target;
    if (a == b) return a >= 0;
    return a >= 0 && b >= 0 && pyramulator::meet(addresses_[a], addresses_[b]);
}

bool Timing::share_pseudo_channel(int i, int h) const {
    const Address &a = addresses_[operations_[i].target], &b = addresses_[operations_[h].target];
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
    window_flags_.assign(width_ * width_, 0);
    std::unordered_map<uint32_t, std::vector<std::pair<int, Key>>> readers;
    for (size_t h = 0; h < width_; ++h)
        for (uint32_t i = operations_[h].checks.first; i < operations_[h].checks.last; ++i)
            readers[checks_[i].slot].push_back({static_cast<int>(h), checks_[i].add});
    for (size_t i = 0; i < width_; ++i) {
        const Operation &op = operations_[i];
        for (uint32_t j = op.stores.first; j < op.stores.last; ++j) {
            for (const auto &[h, add] : readers[stores_[j]]) {
                Key &effect = effects_[i * width_ + h];
                effect = std::max(effect, add);
            }
        }
        for (uint32_t j = op.pushes.first; j < op.pushes.last; ++j) {
            const WindowPush &push = pushes_[j];
            for (uint32_t k = push.first; k < push.first + push.count; ++k)
                for (const auto &[h, add] : readers[window_stores_[k].slot]) window_flags_[i * width_ + h] = 1;
        }
    }
}

}  // namespace pyramulator
