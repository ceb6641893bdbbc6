#include "router/worker_stream.h"

#include <utility>
#include <vector>

#include "router/grpc_status.h"

namespace blockserve {

std::shared_ptr<WorkerStream> WorkerStream::Open(
    worker::v1::WorkerService::Stub& stub, SharedWork* shared_work,
    Callbacks callbacks) {
  std::shared_ptr<WorkerStream> stream(
      new WorkerStream(shared_work, std::move(callbacks)));
  stream->self_ = stream;
  stub.async()->Execute(&stream->context_, stream.get());
  // Writes come from outside gRPC's reactions: the hold keeps OnDone away until
  // the read side has ended and no more writes can begin.
  stream->AddHold();
  stream->StartRead(&stream->response_);
  stream->StartCall();
  return stream;
}

bool WorkerStream::StartRequest(const std::string& id,
                                worker::v1::ExecuteRequest command,
                                std::shared_ptr<WorkerRequestHandler> handler) {
  absl::MutexLock lock(&mutex_);
  if (closed_) return false;
  handlers_[id] = std::move(handler);
  commands_.push_back(std::move(command));
  WriteNext();
  return true;
}

void WorkerStream::CancelRequest(const std::string& id) {
  std::shared_ptr<WorkerRequestHandler> handler;  // destroyed after the lock
  absl::MutexLock lock(&mutex_);
  const auto it = handlers_.find(id);
  if (it == handlers_.end()) return;
  handler = std::move(it->second);
  handlers_.erase(it);
  if (closed_) return;
  worker::v1::ExecuteRequest command;
  command.mutable_abort()->set_request_id(id);
  commands_.push_back(std::move(command));
  WriteNext();
}

void WorkerStream::Close() { context_.TryCancel(); }

void WorkerStream::WriteNext() {
  if (writing_ || closed_ || commands_.empty()) return;
  writing_ = true;
  // Under the lock, so that the hold cannot be given up in between.
  StartWrite(&commands_.front());
}

void WorkerStream::OnWriteDone(bool ok) {
  absl::MutexLock lock(&mutex_);
  writing_ = false;
  commands_.pop_front();
  // After a failed write the read fails too and ends the stream.
  if (ok) WriteNext();
}

void WorkerStream::OnReadDone(bool ok) {
  bool is_idle = false;  // no thread delivers
  {
    // The next read may end on another thread. gRPC orders the two, but inside
    // a library that ThreadSanitizer does not see; our lock it sees.
    absl::MutexLock lock(&mutex_);
    reading_ = false;
    is_idle = !delivering_;
    if (ok) {
      frames_.Push(response_);
      delivering_ = true;
      ReadNext();
    } else {
      closed_ = true;
    }
  }
  if (!ok) {
    // A worker that ended the stream on its side still waits for ours.
    context_.TryCancel();
    if (is_idle) RemoveHold();
  } else if (is_idle) {
    DeliverAll();
  } else {
    shared_work_->Help();
  }
}

void WorkerStream::ReadNext() {
  if (reading_ || closed_ || frames_.is_full()) return;
  reading_ = true;
  StartRead(&response_);
}

void WorkerStream::DeliverAll() {
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      if (frames_.empty()) {
        delivering_ = false;
        // Nobody is told of the end before the last frame.
        if (closed_) break;
        return;
      }
      delivery_.Swap(frames_);
      ReadNext();
    }
    const FrameBatch::Events events = delivery_.JoinEvents();
    shared_work_->Run(static_cast<int>(events.firsts.size()),
                      [&](int index) { Deliver(*events.firsts[index]); });
    for (const worker::v1::RequestEvent* event : events.rest) Deliver(*event);
    delivery_.Clear();
  }
  RemoveHold();
}

void WorkerStream::Deliver(const worker::v1::RequestEvent& event) {
  std::shared_ptr<WorkerRequestHandler> handler;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = handlers_.find(event.request_id());
    if (it == handlers_.end()) return;  // cancelled
    if (event.has_done()) {
      handler = std::move(it->second);
      handlers_.erase(it);
    } else {
      handler = it->second;
    }
  }
  handler->OnEvent(event);
}

void WorkerStream::OnDone(const grpc::Status& status) {
  const absl::Status why =
      status.ok() ? absl::UnavailableError("the worker ended the stream")
                  : ToAbslStatus(status);
  callbacks_.on_closed(why);
  std::vector<std::shared_ptr<WorkerRequestHandler>> lost;
  {
    absl::MutexLock lock(&mutex_);
    for (auto& [id, handler] : handlers_) lost.push_back(std::move(handler));
    handlers_.clear();
  }
  for (const auto& handler : lost) handler->OnLost(why);
  // The callback may end what else refers to this.
  const std::shared_ptr<WorkerStream> self = std::move(self_);
  callbacks_.on_ended();
}

}  // namespace blockserve
