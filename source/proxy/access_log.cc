#include "proxy/access_log.h"

#include <utility>

namespace sluice {

MetricCell& AccessLogDropped(MetricShard& shard) {
  return shard.Counter("sluice_access_log_dropped_total",
                       "Lines of the access log that were not written: the file did not keep up, "
                       "or refused them.");
}

AccessLog::AccessLog(Loop& loop, std::shared_ptr<const AccessLogLine> line,
                     AsyncLogWriter::Channel& channel)
    : loop_(loop), line_(std::move(line)), channel_(channel) {}

void AccessLog::OnRequestDone(const RequestHead& request, const RequestRecord& record,
                              const DownstreamInfo& downstream) {
  const Duration duration = loop_.Now() - record.started;
  // Calendar time is read once; when the request began follows from how long it took.
  const auto age = std::chrono::duration_cast<WallTime::duration>(duration);
  buffer_.clear();
  line_->Append({request, record, downstream, loop_.WallNow() - age, duration}, timestamps_,
                buffer_);
  channel_.Write({buffer_.data(), buffer_.size()});
}

}  // namespace sluice
