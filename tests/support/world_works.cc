#include "tests/support/world_works.h"

#include "store/engine/analyze.h"
#include "store/engine/array_io.h"
#include "store/engine/cat.h"
#include "store/engine/check.h"
#include "store/engine/collect.h"
#include "store/engine/diff.h"
#include "store/engine/inspect.h"
#include "store/engine/repair.h"
#include "store/engine/restore_files.h"
#include "store/engine/stats.h"
#include "tests/engine/collect_fixture.h"

namespace ckpt::world_works {

namespace {
std::size_t NumbersOfAnArray() { return large_bytes / 13; }
}  // namespace

Result<Saved> SaveData(Store* store, const std::string& series, SaveFilesOptions options) {
  options.save.series = series;
  return SaveFiles(store, {"/data"}, options);
}

Status PutArrays(Store* store, SaveOptions options, std::uint64_t seed) {
  CKPT_ASSIGN_OR_RETURN(auto writer, ArrayWriter::Begin(store, std::move(options)));
  ArrayShape shape;
  shape.dtype = Dtype::kFloat64;
  shape.shape = {NumbersOfAnArray()};
  std::vector<double> numbers(NumbersOfAnArray());
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    numbers[i] = static_cast<double>(i < 300 ? seed + i : i);
  }
  CKPT_RETURN_IF_ERROR(writer->Put("x", std::as_bytes(std::span(numbers)), shape));
  const std::size_t same = NumbersOfAnArray() - 300;
  shape.shape = {same};
  CKPT_RETURN_IF_ERROR(writer->Put("same", std::as_bytes(std::span(numbers).last(same)), shape));
  return writer->End().status();
}

Status SaveRanks(Store* store, std::int64_t step, std::uint32_t ranks, const std::string& run) {
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    SaveOptions options;
    options.series = "ranks";
    options.step = step;
    options.rank = rank;
    options.ranks = 2;
    options.run_id = run;
    options.job_id = run + " job";
    CKPT_RETURN_IF_ERROR(PutArrays(store, options, static_cast<std::uint64_t>(step) * 10 + rank));
  }
  return Status();
}

namespace {

using collect_test::Saving;
using Mode = OpenStoreOptions::Mode;

Status SaveTheFiles(SimProcess* world) {
  CKPT_ASSIGN_OR_RETURN(auto store, Open(world, Mode::kWrite));
  CKPT_RETURN_IF_ERROR(SaveData(store.get(), "files").status());
  // What has another time of change only is read again.
  CKPT_ASSIGN_OR_RETURN(auto dir, world->OpenDir("/data"));
  CKPT_ASSIGN_OR_RETURN(FileInfo info, dir->StatEntry("holes"));
  CKPT_RETURN_IF_ERROR(dir->SetEntryAttributes("holes", info, false));
  CKPT_RETURN_IF_ERROR(SaveData(store.get(), "files").status());
  SaveFilesOptions options;
  options.reread = true;
  options.excludes = {"*/small"};
  return SaveData(store.get(), "files", options).status();
}

// The store itself among what is to be saved, contents, links that are followed, a name twice.
Status SaveByOddNames(SimProcess* world) {
  CKPT_ASSIGN_OR_RETURN(auto store, Open(world, Mode::kWrite));
  SaveFilesOptions options;
  options.save.series = "named";
  const std::vector<std::vector<std::string>> all = {{"/"},
                                                     {"/data/."},
                                                     {"/data/folder/"},
                                                     {"/data/folder/.", "/data/small"},
                                                     {"/data/large", "/data/large", "/data/holes"}};
  for (const auto& paths : all) {
    CKPT_RETURN_IF_ERROR(SaveFiles(store.get(), paths, options).status());
  }
  return Status();
}

Status SaveAStream(SimProcess* world) {
  CKPT_ASSIGN_OR_RETURN(auto store, Open(world, Mode::kWrite));
  SaveFilesOptions options;
  options.save.series = "stream";
  options.stream_name = "large";
  std::size_t left = large_bytes;
  options.stream = [&](MutableByteSpan out) -> Result<std::size_t> {
    const std::size_t now = std::min(left, out.size());
    SimRng(left).Fill(out.first(now));
    left -= now;
    return now;
  };
  return SaveFiles(store.get(), {}, options).status();
}

Status SaveTheArrays(SimProcess* world) {
  CKPT_ASSIGN_OR_RETURN(auto store, Open(world, Mode::kWrite));
  SaveOptions options;
  options.series = "arrays";
  return PutArrays(store.get(), options, 7);
}

// A group, a part of one, and another run that goes on with what is whole.
Status SaveTheRanks(SimProcess* world) {
  CKPT_ASSIGN_OR_RETURN(auto store, Open(world, Mode::kWrite));
  CKPT_RETURN_IF_ERROR(SaveRanks(store.get(), 3, 2, "first"));
  CKPT_RETURN_IF_ERROR(SaveRanks(store.get(), 4, 1, "first"));
  return SaveRanks(store.get(), 5, 2, "second");
}

Status SaveBlocks(SimProcess* world) {
  CKPT_ASSIGN_OR_RETURN(auto store, Open(world, Mode::kWrite));
  CKPT_RETURN_IF_ERROR(collect_test::Save(store.get(), 4));
  CKPT_RETURN_IF_ERROR(collect_test::Save(store.get(), 5, true));
  CKPT_ASSIGN_OR_RETURN(auto lock, store->LockSeries("run", 0, 10));
  CKPT_ASSIGN_OR_RETURN(auto claim, store->ClaimSeries("run", 10));
  return store->LookAtSeriesLock("run", 0).status();
}

Status GoBack(SimProcess* world) {
  CKPT_ASSIGN_OR_RETURN(auto store, Open(world, Mode::kWrite));
  SaveOptions options;
  options.series = "run";
  options.from_step = 2;
  options.step = 4;
  CKPT_ASSIGN_OR_RETURN(auto saving, Saving::Begin(store.get(), options));
  CKPT_RETURN_IF_ERROR(saving->Put(0, collect_test::kBlocks));
  return saving->End().status();
}

// A session's: staged, answers a collection beside it, committed.
Status RunBesideACollection(SimProcess* world) {
  CKPT_ASSIGN_OR_RETURN(auto store, Open(world, Mode::kWrite));
  collect_test::RunOfSaves run(world, store.get(), 9);
  CKPT_RETURN_IF_ERROR(run.Stage(4));
  CKPT_RETURN_IF_ERROR(run.Commit());
  CKPT_RETURN_IF_ERROR(run.Stage(5));
  CKPT_ASSIGN_OR_RETURN(auto other, Open(world, Mode::kWrite));
  CollectOptions options;
  options.wait_ms = 100;
  options.while_waiting = [&] { return run.writer()->chunks()->PollEpoch(); };
  CKPT_ASSIGN_OR_RETURN(auto collector, Collector::Open(other.get(), options));
  Collected collected;
  CKPT_RETURN_IF_ERROR(collector->Run({}, &collected));
  return run.Commit(true);
}

Status RestoreTheFiles(SimProcess* world) {
  CKPT_ASSIGN_OR_RETURN(auto store, Open(world, Mode::kRead));
  RestoreFilesOptions options;
  options.to = "/out";
  for (const char* name : {"files@1", "files@2", "files"}) {
    options.checkpoint = name;
    options.force = true;
    options.sync = true;
    CKPT_RETURN_IF_ERROR(RestoreFiles(store.get(), options).status());
  }
  options.fallback = true;
  options.dry_run = true;
  return RestoreFiles(store.get(), options).status();
}

Status ReadTheArrays(SimProcess* world) {
  CKPT_ASSIGN_OR_RETURN(auto store, Open(world, Mode::kRead));
  for (const char* name : {"arrays", "ranks"}) {
    CKPT_ASSIGN_OR_RETURN(auto reader, CheckpointReader::Open(store.get(), name));
    CKPT_RETURN_IF_ERROR(reader->Names().status());
    CKPT_RETURN_IF_ERROR(reader->FindContent("x").status());
    std::vector<double> numbers(NumbersOfAnArray());
    CKPT_RETURN_IF_ERROR(reader->Get("x", std::as_writable_bytes(std::span(numbers))));
    std::vector<float> floats(NumbersOfAnArray());
    CKPT_RETURN_IF_ERROR(
        reader->GetAs("x", Dtype::kFloat32, std::as_writable_bytes(std::span(floats))));
    CKPT_RETURN_IF_ERROR(reader->UseRank(0));
    CKPT_RETURN_IF_ERROR(reader->GetAs("same", Dtype::kFloat64, {}));
  }
  return Status();
}

Status InspectThe(Store* store, const std::string& name) {
  InspectVisitor visitor;
  visitor.checkpoint = [](const SeriesView&, const CheckpointRow&) { return Status(); };
  visitor.entry = [](const InspectedEntry&) { return Status(); };
  visitor.pack = [](const Id128&, std::uint64_t) { return Status(); };
  return InspectCheckpoint(store, name, visitor);
}

Status LookAtSeries(Store* store) {
  CKPT_ASSIGN_OR_RETURN(auto names, ListSeries(store));
  for (const std::string& name : names) {
    CKPT_ASSIGN_OR_RETURN(SeriesView view, SeriesView::Load(store, name));
    for (const CheckpointRow* row : view.Line()) {
      CKPT_RETURN_IF_ERROR(StateOf(store, view, *row).status());
      CKPT_RETURN_IF_ERROR(store->ReadSummary(*row).status());
    }
    CKPT_RETURN_IF_ERROR(SeriesView::LoadNewest(store, name, 1).status());
  }
  return Status();
}

Status List(SimProcess* world) {
  CKPT_ASSIGN_OR_RETURN(auto store, Open(world, Mode::kRead));
  CKPT_RETURN_IF_ERROR(LookAtSeries(store.get()));
  return GetStats(store.get()).status();
}

Status Look(SimProcess* world) {
  CKPT_ASSIGN_OR_RETURN(auto store, Open(world, Mode::kRead));
  for (const char* name : {"files", "ranks", "run@2"}) {
    CKPT_RETURN_IF_ERROR(InspectThe(store.get(), name));
  }
  // Of an attempt that continues none, where there is one.
  const Status staged = InspectThe(store.get(), "run@4");
  if (!staged.ok() && staged.code() != Code::kNotFound) return staged;
  const auto drop = [](ByteSpan) { return Status(); };
  CKPT_RETURN_IF_ERROR(CatEntry(store.get(), "files", "data/large", 100, large_bytes, drop));
  CKPT_RETURN_IF_ERROR(CatEntry(store.get(), "files", "data/link", 0, UINT64_MAX, drop));
  const auto nothing = [](const DiffedEntry&) { return Status(); };
  CKPT_RETURN_IF_ERROR(DiffCheckpoints(store.get(), "files@1", "files@2", nothing));
  return DiffCheckpoints(store.get(), "ranks@1", "ranks@2", nothing);
}

Status Check(SimProcess* world) {
  CKPT_ASSIGN_OR_RETURN(auto store, Open(world, Mode::kWrite));
  return CheckStore(store.get(), CheckOptions()).status();
}

Status CheckLess(SimProcess* world) {
  CKPT_ASSIGN_OR_RETURN(auto store, Open(world, Mode::kRead));
  CheckOptions options;
  options.quick = true;
  CKPT_RETURN_IF_ERROR(CheckStore(store.get(), options).status());
  options.quick = false;
  options.part_percent = 50;
  options.record_when_reading = true;
  return CheckStore(store.get(), options).status();
}

Status Repair(SimProcess* world) {
  CKPT_ASSIGN_OR_RETURN(auto store, Open(world, Mode::kWrite));
  RepairOptions options;
  options.wait_ms = 10;
  options.dry_run = true;
  CKPT_RETURN_IF_ERROR(RepairStore(store.get(), options).status());
  options.dry_run = false;
  return RepairStore(store.get(), options).status();
}

Status Collect(SimProcess* world) {
  CKPT_ASSIGN_OR_RETURN(auto store, Open(world, Mode::kWrite));
  return collect_test::Collect(store.get(), 10).status();
}

Status KeepLessAndCollect(SimProcess* world) {
  CKPT_ASSIGN_OR_RETURN(auto store, Open(world, Mode::kWrite));
  RetentionRules rules;
  rules.keep_last = 1;
  rules.keep_every = 2;
  rules.keep_within_ns = 1;
  CKPT_ASSIGN_OR_RETURN(auto planned, PlanRetention(store.get(), rules));
  CollectOptions options;
  options.dry_run = true;
  {
    CKPT_ASSIGN_OR_RETURN(auto collector, Collector::Open(store.get(), options));
    Collected collected;
    CKPT_RETURN_IF_ERROR(collector->Run(planned, &collected));
  }
  CKPT_RETURN_IF_ERROR(CommitRemovals(store.get(), planned, 1));
  return collect_test::Collect(store.get(), 10).status();
}

Status Remove(SimProcess* world) {
  CKPT_ASSIGN_OR_RETURN(auto store, Open(world, Mode::kWrite));
  CKPT_ASSIGN_OR_RETURN(auto removals,
                        PlanRemoval(store.get(), {"run@2", "ranks@1", "run@2"}, false));
  return CommitRemovals(store.get(), removals, 0);
}

Status RemoveAndCollect(SimProcess* world) {
  CKPT_ASSIGN_OR_RETURN(auto store, Open(world, Mode::kWrite));
  CKPT_ASSIGN_OR_RETURN(auto removals, PlanRemoval(store.get(), {"run@1", "run@2"}, true));
  CKPT_RETURN_IF_ERROR(CommitRemovals(store.get(), removals, 0));
  CollectOptions options;
  options.wait_ms = 0;
  options.live_share = 1.0;
  CKPT_ASSIGN_OR_RETURN(auto collector, Collector::Open(store.get(), options));
  Collected collected;
  return collector->Run({}, &collected);
}

// A file is cut, another has other bytes, a third is longer; a link and a folder go.
Status ChangeData(SimProcess* world) {
  CKPT_ASSIGN_OR_RETURN(auto dir, world->OpenDir("/data"));
  CKPT_RETURN_IF_ERROR(dir->RemoveFile("soft"));
  CKPT_RETURN_IF_ERROR(dir->RemoveDir("sub"));
  OpenOptions write;
  write.mode = OpenMode::kReadWrite;
  CKPT_ASSIGN_OR_RETURN(auto large, dir->OpenFile("large", write));
  CKPT_RETURN_IF_ERROR(large->Truncate(large_bytes / 3));
  CKPT_ASSIGN_OR_RETURN(auto small, dir->OpenFile("small", write));
  CKPT_RETURN_IF_ERROR(small->WriteAt(0, Bytes(10)));
  CKPT_ASSIGN_OR_RETURN(auto holes, dir->OpenFile("holes", write));
  return holes->WriteAt(100, Bytes(5000, std::byte{7}));
}

Status Analyze(SimProcess* world) {
  AnalyzeOptions options;
  options.threads = 1;
  return AnalyzeFiles(world, {"/data"}, options).status();
}

Status Create(SimProcess* world) {
  CKPT_ASSIGN_OR_RETURN(auto store, Open(world, Mode::kCreate));
  return collect_test::Save(store.get(), 3, true);
}

}  // namespace

const std::vector<WorldWork>& WorksOfOthers() {
  static const std::vector<WorldWork> works = {
      {"others that collect", RemoveAndCollect, true},
      {"others that save", SaveBlocks},
      {"others that repair", Repair},
      {"others that write into the files", ChangeData},
      {"others that create it", Create},
  };
  return works;
}

const std::vector<WorldWork>& WorldWorks() {
  static const std::vector<WorldWork> works = {
      {"create", Create},
      {"save files", SaveTheFiles},
      {"save by odd names", SaveByOddNames},
      {"save a stream", SaveAStream},
      {"save arrays", SaveTheArrays},
      {"save ranks", SaveTheRanks},
      {"save blocks", SaveBlocks},
      {"save that goes back", GoBack},
      {"run beside a collection", RunBesideACollection},
      {"restore", RestoreTheFiles},
      {"read arrays", ReadTheArrays},
      {"list", List},
      {"inspect, cat, diff", Look},
      {"check", Check},
      {"check less", CheckLess},
      {"repair", Repair},
      {"collect", Collect},
      {"keep less and collect", KeepLessAndCollect, true},
      {"remove", Remove, true},
      {"analyze", Analyze},
  };
  return works;
}

}  // namespace ckpt::world_works
