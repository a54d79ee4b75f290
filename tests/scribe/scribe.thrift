/**
 * The public interface of Scribe.
 */

include "fb303.thrift"

namespace py scribe

enum ResultCode {
  OK = 0,
  TRY_LATER = 1,
}

struct LogEntry {
  1: string category,
  2: string message,
}

service scribe extends fb303.FacebookService {
  ResultCode Log(1: list<LogEntry> messages),
}
