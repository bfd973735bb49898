// Runs Ramulator 2.1 from a configuration file until its frontend has sent everything, then long
// enough for what is on its way. Its trace recorders write what it issued.

#include <cstdlib>

#include "ramulator/base/config.h"
#include "ramulator/base/factory.h"
#include "ramulator/frontend/i_frontend.h"
#include "ramulator/memory_system/i_memory_system.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const auto config = Ramulator::Config::parse_config_file(argv[1]);
  auto* frontend = Ramulator::Factory::create_frontend(config);
  auto* memory = Ramulator::Factory::create_memory_system(config);
  frontend->connect_memory_system(memory);
  memory->connect_frontend(frontend);
  while (!frontend->is_finished()) {
    frontend->tick();
    memory->tick();
  }
  for (int tick = std::atoi(argv[2]); tick > 0; tick--) memory->tick();
  frontend->finalize();
  memory->finalize();
}
