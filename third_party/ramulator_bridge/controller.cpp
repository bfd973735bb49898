#include "controller.hpp"

#include <algorithm>
#include <chrono>

#include "described_spec.hpp"

namespace ramulator_bridge {
namespace {

constexpr int kMostStreams = 1024;

// A tick costs up to some microseconds for every thousand banks, and a slice has milliseconds.
uint32_t ticks_per_look(const Standard &standard) {
    int64_t banks = 1;
    for (int level = 0; level < standard.depth; ++level) banks *= standard.sizes[level];
    return static_cast<uint32_t>(std::clamp<int64_t>(65536 / banks, 1, 1024));
}

std::vector<Target> split(const int32_t *targets, int64_t n, int depth) {
    std::vector<Target> out;
    for (int64_t i = 0; i < n; ++i) out.emplace_back(targets + i * depth, targets + (i + 1) * depth);
    return out;
}

}  // namespace

PimController::PimController(const pyr_description &description, const int32_t *targets, int64_t n_targets,
                             bool log)
    : ControllerBase(Ramulator::ConfigNode{}, nullptr), standard_(read_standard(description)), log_wanted_(log),
      ticks_per_look_(ticks_per_look(standard_)), counts_(standard_.commands.size(), 0) {
    m_impl = this;
    m_device.init(make_spec(device_config(description, standard_)));
    set_channel_id(0);
    operations_ = std::make_unique<Operations>(standard_, split(targets, n_targets, standard_.depth), m_device);
    residency_ = std::make_unique<Residency>(standard_, m_device);
}

// The base's init reads a configuration for host requests; the constructor has all that streams need.
void PimController::init() {}

void PimController::add_stream(const Record *records, int64_t n, int window) {
    if (started_) throw Fault(PYR_MISUSE, "streams must be added before the first advance");
    if (streams() >= kMostStreams)
        throw Fault(PYR_BAD_STREAM, "streams must be at most " + std::to_string(kMostStreams));
    streams_.push_back({Walk(streams(), records, n, standard_, *operations_), window});
    if (window > 0) fifo_streams_.push_back(streams() - 1);
}

void PimController::set_replay(bool replay) {
    if (started_) throw Fault(PYR_MISUSE, "replay must be chosen before the first advance");
    replay_ = replay;
}

int PimController::advance(Tick until, int64_t slice_ns) {
    if (failed_) throw Fault(PYR_MISUSE, "the run has failed and cannot go on");
    using Clock = std::chrono::steady_clock;
    slice_end_ = Clock::time_point::max();
    if (slice_ns > 0) slice_end_ = Clock::now() + std::chrono::nanoseconds(slice_ns);
    failed_ = true;  // until this call returns in order
    int status = PYR_OK;
    if (!started_) start();
    for (uint32_t ticks = 0;; ++ticks) {
        if (!opening_.empty()) {  // the last slice was over before all barriers were open
            open_barriers();
            if (!opening_.empty()) {
                status = PYR_PAUSED;
                break;
            }
        }
        if (running_ == 0 && m_clk >= end_) {  // 16
            finished_ = true;
            status = PYR_FINISHED;
            break;
        }
        if (m_clk >= until) {
            if (until >= kLastTick) throw Fault(PYR_UNSUPPORTED, "the run must end before tick 2^45");
            break;
        }
        if (ticks % ticks_per_look_ == 0) {
            if (slice_is_over() && ticks > 0) {
                status = PYR_PAUSED;
                break;
            }
        }
        if (replay_) {
            const Tick next = next_event();
            if (next > until) {
                m_clk = until;
                continue;
            }
            m_clk = next - 1;
        }
        tick();
        if (!issued_ && !replay_) look_for_deadlock();
    }
    failed_ = false;
    return status;
}

bool PimController::slice_is_over() const {
    if (cancelled_.load(std::memory_order_relaxed)) throw Fault(PYR_CANCELLED, "the run was cancelled");
    return std::chrono::steady_clock::now() >= slice_end_;
}

void PimController::tick() {
    ++m_clk;
    issued_ = false;
    enter_refreshes();
    enter_fifo_streams();
    // 12. On a SINGLE bus give() lets every command into its one slot.
    const bool rising = standard_.bus != Bus::HalfClock || m_clk % 2 == 1;
    if (standard_.bus != Bus::Single && rising) give(Slot::Column);
    give(Slot::Row);
}

// 11: the slot goes to the first candidate that is ready.
void PimController::give(Slot slot) {
    if (order_stale_) put_in_order();
    for (int i : order_) {
        Head &head = heads_[i];
        if (head.visible > m_clk) continue;
        if (head.assessed != epoch_) assess(i);
        if (head.blocked()) continue;
        const Operation &operation = (*operations_)[head.need];
        if (standard_.bus != Bus::Single && operation.slot != slot) continue;
        const bool ordinary = i < streams() && !is_fifo(i);
        if (ordinary && head.issued == m_clk) continue;  // 7
        if (!edge_allows(head.need)) continue;
        if (!allowed(head)) continue;
        issue(i);
        return;
    }
}

bool PimController::allowed(Head &head) {
    const Operation &operation = (*operations_)[head.need];
    if (!replay_) return check_timing(operation.command, operation.address);
    if (head.not_before <= m_clk) head.not_before = operations_->ready(head.need);
    return head.not_before <= m_clk;
}

void PimController::put_in_order() {
    order_.clear();
    for (int i = 0; i < streams(); ++i)
        if (heads_[i].present && heads_[i].holds) order_.push_back(i);
    std::sort(order_.begin(), order_.end(), [&](int a, int b) {
        return heads_[a].opened != heads_[b].opened ? heads_[a].opened < heads_[b].opened : a < b;
    });
    const int first = front();
    if (first != kNone && !heads_[first].holds) order_.push_back(first);
    const auto others = static_cast<std::ptrdiff_t>(order_.size());
    for (int i = 0; i < streams(); ++i)
        if (heads_[i].present && !heads_[i].holds && !is_fifo(i)) order_.push_back(i);
    std::sort(order_.begin() + others, order_.end(), [&](int a, int b) {
        return heads_[a].visible != heads_[b].visible ? heads_[a].visible < heads_[b].visible : a < b;
    });
    order_stale_ = false;
}

// What the head needs, and whether anything but time keeps it from issuing.
void PimController::assess(int i) {
    Head &head = heads_[i];
    head.assessed = epoch_;
    head.need = needed(head);
    head.not_before = 0;
    head.held = head.excluded = false;
    if (holders_ > 0 && head.need != kNone && (*operations_)[head.need].closes_row) {  // 9
        for (int j = 0; j < streams() && !head.held; ++j)
            head.held = j != i && heads_[j].holds && operations_->meet(head.need, heads_[j].request);
    }
    head.waits_behind = is_fifo(i) && !head.holds && front() != i;
    if (i < streams() && !is_fifo(i) && !head.holds)  // 11(d)
        head.excluded = std::any_of(queued_refreshes_.begin(), queued_refreshes_.end(),
                                    [&](int refresh) { return operations_->meet(refresh, head.request); });
}

// 6, from the rows that Ramulator's bank nodes have.
int PimController::needed(const Head &head) const {
    const Operation &request = (*operations_)[head.request];
    if (request.row_use == RowUse::None || request.row_use == RowUse::Close) return head.request;
    const int state = request.banks.front()->m_state;
    const bool same = std::all_of(request.banks.begin(), request.banks.end(),
                                  [&](const Ramulator::DRAMNode *bank) { return bank->m_state == state; });
    if (request.row_use == RowUse::Access) {
        if (same && state == head.row) return head.request;
        return same && state == kClosed ? request.opens : request.closes;
    }
    return same && state == kClosed ? head.request : request.closes;
}

// 12: what an even tick of a HALF_CLOCK bus lets through.
bool PimController::edge_allows(int need) const {
    if (standard_.bus != Bus::HalfClock || m_clk % 2 == 1) return true;
    const Operation &operation = (*operations_)[need];
    if (operation.slot != Slot::Row || !operation.falling_edge) return false;
    if (last_row_operation_ == kNone || m_clk != last_row_end_) return true;
    if (!operations_->share_pseudo_channel(need, last_row_operation_)) return true;
    const size_t banks = std::max(operation.banks.size(), (*operations_)[last_row_operation_].banks.size());
    return banks == 1 && !operations_->meet(need, last_row_operation_);
}

void PimController::issue(int i) {
    Head &head = heads_[i];
    const int number = head.need;
    Operation &operation = (*operations_)[number];
    const Command &command = standard_.commands[operation.command];
    operation.address[standard_.depth] = head.row;
    operation.address[standard_.depth + 1] = head.column;
    residency_->issued(operation, command, m_clk);
    m_device.issue_command(operation.command, operation.address, m_clk);

    ++counts_[operation.command];
    if (log_wanted_) {
        LogRecord &record = log_.emplace_back();
        record = {m_clk, operation.command, i < streams() ? i : kRefreshSource, {}};
        std::copy(operation.address.begin(), operation.address.end(), record.address);
    }
    if (operation.slot == Slot::Row) {
        last_row_operation_ = number;
        last_row_end_ = m_clk + command.cycles;
    }
    if (operation.changes_banks()) changed();
    issued_ = true;
    head.issued = m_clk;
    if (i < streams()) idle_refreshes_ = 0;

    if (number != head.request) {
        const bool holds = operation.row_use == RowUse::Open && i < streams() &&
                           (*operations_)[head.request].row_use == RowUse::Access;
        if (holds) {  // 9
            holders_ += head.holds ? 0 : 1;
            head.holds = true;
            head.opened = m_clk;
            order_stale_ = true;
            changed();
        }
        return;
    }
    if (head.holds) {
        head.holds = false;
        --holders_;
        changed();
    }
    if (i == streams() || is_fifo(i)) pop_front();
    if (i < streams()) {
        end_ = std::max(end_, m_clk + command.completion);  // 16
        final_issued(i, m_clk + command.completion);
    }
}

}  // namespace ramulator_bridge
