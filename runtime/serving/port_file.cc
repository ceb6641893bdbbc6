#include "runtime/serving/port_file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace blockserve {

absl::Status WritePortFile(const std::string& path,
                           const std::map<std::string, int>& ports) {
  const std::string temporary = path + ".tmp";
  std::ofstream file(temporary, std::ios::trunc);
  for (const auto& [name, port] : ports) file << name << '=' << port << '\n';
  file.close();
  if (!file || std::rename(temporary.c_str(), path.c_str()) != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot write the port file ", path, ": ", strerror(errno)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::map<std::string, int>> ReadPortFile(
    const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::NotFoundError(absl::StrCat("no port file ", path));
  std::map<std::string, int> ports;
  std::string line;
  while (std::getline(file, line)) {
    const size_t equals = line.find('=');
    int port = 0;
    if (equals == std::string::npos ||
        !absl::SimpleAtoi(line.substr(equals + 1), &port)) {
      return absl::DataLossError(
          absl::StrCat("expected NAME=PORT in ", path, ", got \"", line, "\""));
    }
    ports[line.substr(0, equals)] = port;
  }
  return ports;
}

}  // namespace blockserve
