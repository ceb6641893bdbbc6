#include "runtime/serving/metrics_server.h"

#include <civetweb.h>
#include <netdb.h>
#include <prometheus/text_serializer.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>
#include <utility>
#include <vector>

#include "absl/base/call_once.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "runtime/base/status_macros.h"
#include "runtime/serving/listen_address.h"

namespace blockserve {
namespace {

// Opens a connection and drops it.
void Connect(const ListenAddress& address) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(address.host.c_str(), absl::StrCat(address.port).c_str(),
                  &hints, &found) != 0) {
    return;
  }
  // Connecting to "any address" reaches this machine.
  const int fd =
      socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd >= 0) {
    (void)connect(fd, found->ai_addr, found->ai_addrlen);
    close(fd);
  }
  freeaddrinfo(found);
}

// prometheus-cpp's own Exposer throws without a reason when a port is taken and
// adds series of its own to the page; the few calls it makes are made here.
class CivetMetricsServer : public MetricsServer {
 public:
  CivetMetricsServer(std::shared_ptr<prometheus::Registry> registry,
                     std::function<void()> before_scrape)
      : registry_(std::move(registry)),
        before_scrape_(std::move(before_scrape)) {}

  ~CivetMetricsServer() override {
    if (context_ == nullptr) return;
    // The listening thread sees that it shall stop when a connection comes, or
    // after two seconds.
    absl::Notification stopped;
    std::thread stopper([&] {
      mg_stop(context_);
      stopped.Notify();
    });
    do {
      Connect({address_.host, port_});
    } while (!stopped.WaitForNotificationWithTimeout(absl::Milliseconds(5)));
    stopper.join();
  }

  absl::Status Init(const std::string& address_text) {
    ASSIGN_OR_RETURN(address_, ParseListenAddress(address_text));
    RETURN_IF_ERROR(CheckListenable(address_));
    static absl::once_flag once;
    absl::call_once(once, [] { mg_init_library(0); });
    const std::string ports = address_.ToString();
    // A peer that connects and says nothing holds a thread until the timeout:
    // some of them must not keep a scraper out.
    const char* const options[] = {
        "listening_ports",    ports.c_str(), "num_threads", "16",
        "request_timeout_ms", "1000",        nullptr};
    mg_callbacks callbacks = {};
    callbacks.log_message = [](const mg_connection*, const char*) { return 1; };
    context_ = mg_start(&callbacks, this, const_cast<const char**>(options));
    if (context_ == nullptr) {
      RETURN_IF_ERROR(CheckListenable(address_));
      return absl::InternalError(
          absl::StrCat("cannot serve metrics on ", ports));
    }
    mg_server_port bound = {};
    if (mg_get_server_ports(context_, 1, &bound) != 1) {
      return absl::InternalError(absl::StrCat("no port bound for ", ports));
    }
    port_ = bound.port;
    mg_set_request_handler(context_, "/metrics$", &Serve, this);
    mg_set_request_handler(context_, "/", &NotFound, nullptr);
    return absl::OkStatus();
  }

  int port() const override { return port_; }

 private:
  static int Serve(mg_connection* connection, void* data) {
    const auto* self = static_cast<const CivetMetricsServer*>(data);
    if (self->before_scrape_) self->before_scrape_();
    const prometheus::TextSerializer serializer;
    const std::string body = serializer.Serialize(self->registry_->Collect());
    Respond(connection, "200 OK", "text/plain; version=0.0.4; charset=utf-8",
            body);
    return 200;
  }

  static int NotFound(mg_connection* connection, void* /*unused*/) {
    Respond(connection, "404 Not Found", "text/plain; charset=utf-8",
            "see /metrics\n");
    return 404;
  }

  static void Respond(mg_connection* connection, const char* status,
                      const char* type, const std::string& body) {
    const std::string head = absl::StrCat(
        "HTTP/1.1 ", status, "\r\nContent-Type: ", type,
        "\r\nContent-Length: ", body.size(), "\r\nConnection: close\r\n\r\n");
    mg_write(connection, head.data(), head.size());
    if (std::string_view(mg_get_request_info(connection)->request_method) !=
        "HEAD") {
      mg_write(connection, body.data(), body.size());
    }
  }

  const std::shared_ptr<prometheus::Registry> registry_;
  const std::function<void()> before_scrape_;
  ListenAddress address_;
  mg_context* context_ = nullptr;
  int port_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(
    const std::string& address, std::shared_ptr<prometheus::Registry> registry,
    std::function<void()> before_scrape) {
  auto server = std::make_unique<CivetMetricsServer>(std::move(registry),
                                                     std::move(before_scrape));
  RETURN_IF_ERROR(server->Init(address));
  return server;
}

}  // namespace blockserve
