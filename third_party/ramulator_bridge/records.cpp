#include "records.hpp"

#include <algorithm>

namespace ramulator_bridge {
namespace {

constexpr int64_t kMostOffset = int64_t{1} << 40;

struct Range {
    int64_t low = 0, high = 0;

    // What `count` values, `step` apart, add; beyond 2^62 it is 2^62, which no limit lets pass.
    Range plus(int64_t step, uint32_t count) const {
        const int64_t limit = int64_t{1} << 62;
        const int64_t last = std::clamp(step * (int64_t{count} - 1), -limit, limit);
        return {low + std::min<int64_t>(0, last), high + std::max<int64_t>(0, last)};
    }
    Range plus(int64_t value) const { return {low + value, high + value}; }
    bool within(int64_t least, int64_t most) const { return least <= low && high <= most; }
    std::string worst(int64_t least) const { return std::to_string(low < least ? low : high); }
};

class Check {
public:
    Check(int stream, const Record *records, int64_t n, const Standard &standard, Operations &operations)
        : stream_(stream), records_(records), n_(n), standard_(standard), operations_(operations) {}

    std::vector<int32_t> run() {
        std::vector<int32_t> barrier_ids;
        const int commands = static_cast<int>(standard_.commands.size());
        for (at_ = 0; at_ < n_; ++at_) {
            const Record &record = records_[at_];
            if (record.command < commands) {
                request(record);
            } else if (record.command == kLoop) {
                loop(record);
            } else if (record.command == kEnd) {
                end();
            } else if (record.command == kBarrier) {
                occupy();
                if (std::find(barrier_ids.begin(), barrier_ids.end(), record.row) == barrier_ids.end())
                    barrier_ids.push_back(record.row);
            } else {
                fail("command must be an index below " + std::to_string(commands) +
                     ", or LOOP, END or BARRIER, not " + std::to_string(record.command));
            }
        }
        if (!open_.empty()) {
            at_ = open_.back().record;
            fail("LOOP must have a matching END");
        }
        return barrier_ids;
    }

private:
    struct Open {
        int64_t record;
        Range rows, columns;  // outside the loop
        bool occupied = false;
    };

    [[noreturn]] void fail(const std::string &reason) const {
        const size_t command = records_[at_].command;
        std::string where = "stream " + std::to_string(stream_) + ", record " + std::to_string(at_);
        if (command < standard_.commands.size()) where += " (" + standard_.commands[command].name + ")";
        throw Fault(PYR_BAD_STREAM, where + ": " + reason);
    }

    void occupy() {
        if (!open_.empty()) open_.back().occupied = true;
    }

    void request(const Record &record) {
        if (record.count == 0) fail("count must be at least 1, not 0");
        const std::vector<Target> &targets = operations_.targets();
        if (record.target >= targets.size())
            fail("target must be below " + std::to_string(targets.size()) + ", not " +
                 std::to_string(record.target));
        const Target &target = targets[record.target];
        for (int level = 0; level < standard_.depth; ++level)
            if (target[level] < -1 || target[level] >= standard_.sizes[level])
                fail("target " + std::to_string(record.target) + ": " + standard_.level_names[level] +
                     " must be -1 to " + std::to_string(standard_.sizes[level] - 1) + ", not " +
                     std::to_string(target[level]));
        const Command &command = standard_.commands[record.command];
        const Range rows = rows_.plus(record.row);
        const Range columns = columns_.plus(record.column).plus(record.column_step, record.count);
        const int64_t last_row = standard_.sizes[standard_.depth] - 1;
        if (command.names_row() && !rows.within(0, last_row))
            fail("row must be 0 to " + std::to_string(last_row) + ", not " + rows.worst(0));
        if (command.row_use == RowUse::Access && columns.low < 0)
            fail("column must be at least 0, not " + std::to_string(columns.low));
        if (!rows.within(INT32_MIN, INT32_MAX)) fail("row must fit 32 bits");
        if (!columns.within(INT32_MIN, INT32_MAX)) fail("column must fit 32 bits");
        occupy();
        operations_.of_record(record.command, record.target);
    }

    void loop(const Record &record) {
        if (record.count == 0) fail("LOOP count must be at least 1, not 0");
        open_.push_back({at_, rows_, columns_});
        rows_ = rows_.plus(record.row, record.count);
        columns_ = columns_.plus(record.column, record.count);
        if (!rows_.within(-kMostOffset, kMostOffset) || !columns_.within(-kMostOffset, kMostOffset))
            fail("LOOP must step rows and columns by less than 2^40 in all");
    }

    void end() {
        if (open_.empty()) fail("END must have a LOOP before it");
        if (!open_.back().occupied) fail("LOOP must hold a command or a barrier");
        rows_ = open_.back().rows;
        columns_ = open_.back().columns;
        open_.pop_back();
        occupy();
    }

    const int stream_;
    const Record *records_;
    const int64_t n_;
    const Standard &standard_;
    Operations &operations_;
    int64_t at_ = 0;
    Range rows_, columns_;  // what the open loops can add
    std::vector<Open> open_;
};

}  // namespace

Walk::Walk(int stream, const Record *records, int64_t n, const Standard &standard, Operations &operations)
    : records_(records), n_(n), operations_(&operations),
      barrier_ids_(Check(stream, records, n, standard, operations).run()) {}

Item Walk::next() {
    if (left_ > 0) {
        --left_;
        column_ += records_[at_ - 1].column_step;
        return Item::Request;
    }
    while (at_ < n_) {
        const int64_t here = at_++;
        const Record &record = records_[here];
        if (record.command == kLoop) {
            turns_.push_back({here, 0});
        } else if (record.command == kEnd) {
            Turn &turn = turns_.back();
            const Record &loop = records_[turn.loop];
            if (++turn.done < loop.count) {
                row_offset_ += loop.row;
                column_offset_ += loop.column;
                at_ = turn.loop + 1;
            } else {
                row_offset_ -= int64_t{loop.row} * (int64_t{loop.count} - 1);
                column_offset_ -= int64_t{loop.column} * (int64_t{loop.count} - 1);
                turns_.pop_back();
            }
        } else if (record.command == kBarrier) {
            barrier_ = record.row;
            return Item::Barrier;
        } else {
            operation_ = operations_->of_record(record.command, record.target);
            row_ = record.row + row_offset_;
            column_ = record.column + column_offset_;
            left_ = record.count - 1;
            return Item::Request;
        }
    }
    return Item::End;
}

}  // namespace ramulator_bridge
