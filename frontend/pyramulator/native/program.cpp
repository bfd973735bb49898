#include "program.hpp"

#include <algorithm>
#include <cstring>

namespace pyramulator {
namespace {

using Wide = __int128;

struct Extent { // what the loops around a record can add to an address
    Wide low = 0, high = 0;

    Extent stepped(int64_t step, uint32_t count) const {
        const Wide last = Wide(step) * (Wide(count) - 1);
        return {low + std::min<Wide>(0, last), high + std::max<Wide>(0, last)};
    }
};

struct OpenLoop {
    int64_t record;
    Extent rows, columns; // outside the loop
    bool has_body;
};

std::string text(Wide value) {
    const Wide limit = Wide(1) << 62;
    return std::to_string(static_cast<int64_t>(std::clamp(value, -limit, limit)));
}

class Checker {
public:
    Checker(int stream, const Record *records, int64_t n, const Device &device,
            OperationTable &table, Timing &timing)
        : stream_(stream), records_(records), n_(n), device_(device), table_(table),
          timing_(timing) {}

    std::vector<int32_t> run() {
        const uint32_t commands = static_cast<uint32_t>(device_.commands.size());
        // Command, target and row of the last record, where that was a request in order; else what no
        // request has. Such a record again is in order too.
        uint64_t last = ~uint64_t{0};
        for (at_ = 0; at_ < n_; ++at_) {
            const Record &record = records_[at_];
            uint64_t word;
            std::memcpy(&word, &record, sizeof(word));
            const bool again = word == last && record.command < kLoop;
            if (again && record.count == 1 && record.column >= 0 && loops_.empty()) continue;
            last = record.command < kLoop ? word : ~uint64_t{0};
            if (record.command < commands) {
                check_request(record);
            } else if (record.command == kLoop) {
                open_loop(record);
            } else if (record.command == kEnd) {
                close_loop();
            } else if (record.command == kBarrier) {
                mark_body();
                if (std::find(barriers_.begin(), barriers_.end(), record.row) == barriers_.end())
                    barriers_.push_back(record.row);
            } else {
                fail("command must be an index below " + std::to_string(commands) +
                     ", or LOOP, END or BARRIER, not " + std::to_string(record.command));
            }
        }
        if (!loops_.empty()) {
            at_ = loops_.back().record;
            fail("LOOP must have a matching END");
        }
        return barriers_;
    }

private:
    [[noreturn]] void fail(const std::string &reason) const {
        const uint32_t command = records_[at_].command;
        const std::string name =
            command < device_.commands.size() ? " (" + device_.commands[command].name + ")" : "";
        throw Fault(PYR_BAD_STREAM, "stream " + std::to_string(stream_) + ", record " +
                                        std::to_string(at_) + name + ": " + reason);
    }

    void mark_body() {
        if (!loops_.empty()) loops_.back().has_body = true;
    }

    void check_request(const Record &record) {
        if (record.count == 0) fail("count must be at least 1, not 0");
        if (record.target >= table_.targets())
            fail("target must be below " + std::to_string(table_.targets()) + ", not " +
                 std::to_string(record.target));
        if (table_.find(record.command, record.target) < 0) {
            const std::string reason = table_.make(record.command, record.target, timing_);
            if (!reason.empty()) fail(reason);
        }
        const Command &command = device_.commands[record.command];
        const Extent columns =
            record.count == 1 ? columns_ : columns_.stepped(record.column_step, record.count);
        const Wide row_low = rows_.low + record.row, row_high = rows_.high + record.row;
        const Wide column_low = columns.low + record.column,
                   column_high = columns.high + record.column;
        const int64_t rows = device_.sizes[device_.depth];
        if (command.names_row() && row_low < 0)
            fail("row must be 0 to " + text(rows - 1) + ", not " + text(row_low));
        if (command.names_row() && row_high >= rows)
            fail("row must be 0 to " + text(rows - 1) + ", not " + text(row_high));
        if (command.row_use == RowUse::Access && column_low < 0)
            fail("column must be at least 0, not " + text(column_low));
        if (row_low < INT32_MIN || row_high > INT32_MAX) fail("row must fit 32 bits");
        if (column_low < INT32_MIN || column_high > INT32_MAX) fail("column must fit 32 bits");
        mark_body();
    }

    void open_loop(const Record &record) {
        if (record.count == 0) fail("LOOP count must be at least 1, not 0");
        loops_.push_back({at_, rows_, columns_, false});
        rows_ = rows_.stepped(record.row, record.count);
        columns_ = columns_.stepped(record.column, record.count);
        const Wide limit = Wide(1) << 40;
        if (rows_.low < -limit || rows_.high > limit || columns_.low < -limit ||
            columns_.high > limit)
            fail("LOOP must step rows and columns by less than 2^40 in all");
    }

    void close_loop() {
        if (loops_.empty()) fail("END must have a LOOP before it");
        if (!loops_.back().has_body) fail("LOOP must hold a command or a barrier");
        rows_ = loops_.back().rows;
        columns_ = loops_.back().columns;
        loops_.pop_back();
        mark_body();
    }

    const int stream_;
    const Record *records_;
    const int64_t n_;
    const Device &device_;
    OperationTable &table_;
    Timing &timing_;
    int64_t at_ = 0;
    Extent rows_, columns_;
    std::vector<OpenLoop> loops_;
    std::vector<int32_t> barriers_;
};

} // namespace

OperationTable::OperationTable(const Device &device, const int32_t *targets, int64_t n_targets)
    : device_(device), n_targets_(n_targets), table_(device.commands.size() * n_targets, -1) {
    for (int64_t i = 0; i < n_targets; ++i)
        addresses_.emplace_back(targets + i * device.depth, targets + (i + 1) * device.depth);
}

std::string OperationTable::make(uint32_t command, uint32_t target, Timing &timing) {
    const Address &address = addresses_[target];
    for (int level = 0; level < device_.depth; ++level) {
        const std::string where =
            "target " + std::to_string(target) + ": " + device_.level_names[level];
        if (address[level] < -1 || address[level] >= device_.sizes[level])
            return where + " must be -1 to " + std::to_string(device_.sizes[level] - 1) + ", not " +
                   std::to_string(address[level]);
    }
    table_[command * n_targets_ + target] = timing.operation(static_cast<int>(command), address);
    return "";
}

std::vector<int32_t> check_stream(int stream, const Record *records, int64_t n,
                                  const Device &device, OperationTable &table, Timing &timing) {
    return Checker(stream, records, n, device, table, timing).run();
}

Item Cursor::control() {
    while (at_ != end_) {
        const Record &record = *at_;
        if (record.command < kLoop) return load();
        if (record.command == kLoop) {
            loops_.push_back({at_++, 0});
        } else if (record.command == kEnd) {
            Loop &loop = loops_.back();
            const Record &head = *loop.head;
            const uint32_t last = head.count - 1;
            if (loop.iteration < last) {
                ++loop.iteration;
                row_offset_ += head.row;
                column_offset_ += head.column;
                at_ = loop.head + 1;
            } else {
                row_offset_ -= int64_t(head.row) * last;
                column_offset_ -= int64_t(head.column) * last;
                loops_.pop_back();
                ++at_;
            }
        } else {
            barrier = record.row;
            ++at_;
            return Item::Barrier;
        }
    }
    return Item::End;
}

} // namespace pyramulator
