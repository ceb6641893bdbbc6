// A connection to an InferenceService: a server given by --server, or one that
// is started for this command by --model.
#ifndef BLOCKSERVE_RUNTIME_CLI_CLIENT_SESSION_H_
#define BLOCKSERVE_RUNTIME_CLI_CLIENT_SESSION_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "blockserve/v1/generation.grpc.pb.h"
#include "runtime/cli/server_flags.h"
#include "runtime/cli/server_processes.h"

namespace blockserve {

struct ClientFlags {
  std::string server;  // HOST:PORT
  ServerFlags local;   // used if `server` is empty
  double timeout_seconds = 600;
};

void AddClientFlags(CLI::App& command, ClientFlags& flags);

class ClientSession {
 public:
  // INVALID_ARGUMENT unless exactly one of --server and --model is given.
  static absl::StatusOr<std::unique_ptr<ClientSession>> Open(
      const ClientFlags& flags);

  ~ClientSession();  // stops a server that was started

  v1::InferenceService::Stub& stub() { return *stub_; }
  // Fails fast where nothing listens, and at the timeout.
  void Configure(grpc::ClientContext& context) const;

 private:
  ClientSession() = default;

  std::unique_ptr<ServerProcesses> processes_;
  std::unique_ptr<v1::InferenceService::Stub> stub_;
  double timeout_seconds_ = 0;
};

// "1,2,3" as ids; INVALID_ARGUMENT names what is not a number of 32 bits.
absl::StatusOr<std::vector<uint32_t>> ParseIds(const std::string& text);

}  // namespace blockserve

#endif  // BLOCKSERVE_RUNTIME_CLI_CLIENT_SESSION_H_
