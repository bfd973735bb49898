// Scalars and the one fault type that every file of the bridge shares.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "pyramulator.h"

namespace ramulator_bridge {

using Tick = int64_t;

constexpr int kRefreshSource = -1;
constexpr int kNone = -1;

// What goes wrong in the user's terms; the ABI turns it into a status and a message.
class Fault : public std::runtime_error {
public:
    Fault(int status, const std::string &message) : std::runtime_error(message), status(status) {}
    const int status;
};

}  // namespace ramulator_bridge
