// A DRAM standard for Ramulator whose levels, commands and timing come from its configuration.
#pragma once

#include <memory>

#include "ramulator/base/config_node.h"
#include "ramulator/dram/dram_spec.h"

namespace ramulator_bridge {

constexpr int kClosed = -1;  // state of a closed bank; that of an open one is the number of its row

// Makes the standard "PimDescription" through Ramulator's registry. `config` is of device_config.
std::unique_ptr<Ramulator::DRAMSpec> make_spec(const Ramulator::ConfigNode &config);

}  // namespace ramulator_bridge
