// What is done to a store while a call fails: the operations that users have, each upon a small
// store made for it, and the question whether the store is sound afterwards.
//
// Files are in a memory file system where there is one, so that a sweep over thousands of failures
// takes seconds. Bytes of a checkpoint follow from its step.
// Thread rule: one thread.

#ifndef CKPT_TESTS_FAULTS_OPERATIONS_H_
#define CKPT_TESTS_FAULTS_OPERATIONS_H_

#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "ckpt/ckpt.h"

namespace ckpt::faults {

struct Outcome {
  ckpt_code code = CKPT_OK;
  std::string message;             // of the first call that failed
  std::int64_t session_step = -1;  // the newest that a session said it has
};

// What there is to an operation: a store to begin with ("" for none), and what is done to it.
struct Operation {
  std::string name;
  std::string fixture;
  std::function<Outcome(const std::string& store)> run;
  // Restorable afterwards, whatever failed.
  std::vector<std::int64_t> stays;
  // Restorable when the operation answered that it succeeded.
  std::vector<std::int64_t> made;
  // LMDB repeats no call: an index that is asked for may fail where calls are interrupted, or do
  // half, again and again.
  bool fails_easily = false;
  // In the store's own folder, not one that was copied.
  bool needs_reserve = false;
};
void PrintTo(const Operation& operation, std::ostream* out);
std::string TestName(const Operation& operation);

const std::vector<Operation>& Operations();
std::vector<Operation> FirstOperations();  // of these, as they are in the files of that name
std::vector<Operation> MoreOperations();

// A folder with all fixtures in it.
class Fixtures {
 public:
  Fixtures();
  ~Fixtures();
  Fixtures(const Fixtures&) = delete;
  Fixtures& operator=(const Fixtures&) = delete;

  // Makes the operation's store anew; where it is.
  std::string Prepare(const Operation& operation);
  // What is wrong with the store by now; "" when nothing is. Saves once more into it.
  std::string Wrong(const Operation& operation, const Outcome& outcome);

 private:
  std::string WrongSteps(const Operation& operation, const Outcome& outcome);

  std::string path_;
};

// What this process has of the system's.
struct Held {
  std::size_t descriptors = 0;
  std::size_t threads = 0;
  std::size_t mappings = 0;  // of files of the fixtures
};
Held HeldNow();
// What there is more of than before; "" when nothing is.
std::string StillHeld(const Held& before);

}  // namespace ckpt::faults

#endif  // CKPT_TESTS_FAULTS_OPERATIONS_H_
