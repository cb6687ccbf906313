// The access log of one worker: a line for every request, handed to the log writer's thread.
#pragma once

#include <memory>
#include <utility>

#include "base/log_writer.h"
#include "base/metrics.h"
#include "proxy/access_log_format.h"
#include "sluice/handler.h"
#include "sluice/loop.h"

namespace sluice {

// sluice_access_log_dropped_total of that shard: for each worker's channel, and, from a shard that
// nobody else writes, for the writer itself.
MetricCell& AccessLogDropped(MetricShard& shard);

// Used on the thread of its loop. Never blocks, and allocates nothing once it has seen its longest
// line.
class AccessLog final : public RequestLog {
 public:
  // `loop` and `channel` outlive the log; the channel is this thread's alone.
  AccessLog(Loop& loop, std::shared_ptr<const AccessLogLine> line,
            AsyncLogWriter::Channel& channel);

  // For requests that end from now on.
  void SetLine(std::shared_ptr<const AccessLogLine> line) { line_ = std::move(line); }

  void OnRequestDone(const RequestHead& request, const RequestRecord& record,
                     const DownstreamInfo& downstream) override;

 private:
  Loop& loop_;
  std::shared_ptr<const AccessLogLine> line_;
  AsyncLogWriter::Channel& channel_;
  TimestampWriter timestamps_;
  LineBuffer buffer_;
};

}  // namespace sluice
