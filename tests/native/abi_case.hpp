// One run through the C ABI, decoded from bytes: a description, streams, and a sequence of calls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bytes.hpp"
#include "pyramulator.h"

namespace pyramulator_tests {

// The 16 bytes that pyr_add_stream takes (frontend/pyramulator/stream.py).
struct Record {
    uint16_t command;
    uint16_t target;
    int32_t row;
    int16_t column;
    int16_t column_step;
    uint32_t count;
};
static_assert(sizeof(Record) == 16);

constexpr uint16_t kLoop = 0xFFFD;
constexpr uint16_t kEnd = 0xFFFE;
constexpr uint16_t kBarrier = 0xFFFF;

struct LogRecord {
    int64_t tick;
    int32_t command;
    int32_t source;
    int32_t address[8];
};
static_assert(sizeof(LogRecord) == 48);

// Everything that an engine is given, and what keeps it alive. A case is not moved: it points into itself.
struct Case {
    Case() = default;
    Case(const Case &) = delete;
    Case &operator=(const Case &) = delete;

    int oddness = 0;  // of 256 numbers, how many are replaced by one from the ends of their type
    pyr_description description{};
    std::vector<int32_t> targets;
    int64_t n_targets = 0;
    std::vector<std::vector<Record>> streams;
    std::vector<int32_t> windows;

    std::vector<std::string> names;
    std::vector<const char *> level_names;
    std::vector<int32_t> sizes;
    std::vector<pyr_command> commands;
    std::vector<pyr_row> rows;
    std::vector<std::unique_ptr<std::vector<int32_t>>> lists;
};

void decode(Bytes &bytes, Case &out);

// What a finished run leaves.
struct Outcome {
    int status = PYR_OK;
    pyr_summary summary{};
    std::vector<int64_t> counts, classes, slot_to, rows, residency;
    std::vector<LogRecord> log;
};

// Decodes a case and drives an engine through it in pieces, then a second one in a single piece.
// Aborts where a status is none of the ABI's, where numbers do not add up, or where the two differ.
// Returns how many runs came to their end: 0 to 2.
int run_case(const uint8_t *data, size_t size);

// Aborts with the reason.
[[noreturn]] void broken(const std::string &reason);
void must(bool holds, const char *reason);

}  // namespace pyramulator_tests
