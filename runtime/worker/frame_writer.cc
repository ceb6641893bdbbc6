#include "runtime/worker/frame_writer.h"

#include <utility>

namespace blockserve {

FrameWriter::FrameWriter() : thread_([this] { Run(); }) {}

FrameWriter::~FrameWriter() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  wake_.Signal();
  thread_.join();
}

void FrameWriter::Schedule(std::shared_ptr<FrameSource> source) {
  bool was_empty = false;
  {
    absl::MutexLock lock(&mutex_);
    was_empty = scheduled_.empty();
    scheduled_.push_back(std::move(source));
  }
  if (was_empty) wake_.Signal();
}

void FrameWriter::Run() {
  std::vector<std::shared_ptr<FrameSource>> sources;
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      while (scheduled_.empty() && !stopping_) wake_.Wait(&mutex_);
      if (scheduled_.empty()) return;
      sources.swap(scheduled_);
    }
    for (const std::shared_ptr<FrameSource>& source : sources) {
      source->Flush();
    }
    sources.clear();
  }
}

}  // namespace blockserve
