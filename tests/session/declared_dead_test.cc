// A session whose writer was declared dead while it was away (gc --break-host): on a network file
// system whose locks do not reach from node to node, in a simulated world.

#include "store/engine/collect.h"
#include "tests/session/session_fixture.h"
#include "tests/support/sim_world.h"

namespace ckpt {
namespace {

class SessionDeclaredDead : public SessionTest {
 protected:
  SessionDeclaredDead() {
    world_.set_network_file_system(true);
    world_.set_locks(SimLocks::kPerHost);
    options_.store.use_index = false;
    options_.store.threads = 1;
    options_.keep_last = 0;
    asleep_ = NewNode(7);
    awake_ = NewNode(8);
  }
  std::unique_ptr<SimProcess> NewNode(std::uint8_t number) {
    auto node = world_.NewProcess();
    Id128 host;
    host.bytes[3] = number;
    node->set_host(host, "node" + std::to_string(number));
    return node;
  }
  std::unique_ptr<Session> OpenOn(Env* node) {
    auto session = Session::Open(node, "/store", "run", options_);
    EXPECT_TRUE(session.ok()) << session.status().ToString();
    return session.ok() ? *std::move(session) : nullptr;
  }
  // Saves a step of which every number is the step.
  static Status Save(Session* session, std::vector<double>* x, std::int64_t step) {
    x->assign(x->size(), static_cast<double>(step));
    StepResult result = session->Step(step);
    CKPT_RETURN_IF_ERROR(std::move(result.error));
    return session->Commit();
  }
  void DeclareDead() {
    OpenStoreOptions options = options_.store;
    options.mode = OpenStoreOptions::Mode::kWrite;
    auto store = Store::Open(awake_.get(), "/store", options);
    ASSERT_OK(store.status());
    CollectOptions collect;
    collect.wait_ms = 50;
    collect.break_host_name = "node7";
    auto collector = Collector::Open(store->get(), collect);
    ASSERT_OK(collector.status());
    Collected collected;
    ASSERT_OK((*collector)->Run({}, &collected));
    EXPECT_EQ(collected.packs_waiting, 0u);
    EXPECT_GT(collected.packs_removed, 0u);
  }
  // The next save after sleep says why it is none; the one after it is kept.
  void ExpectToldAndSavedAgain(Session* session, std::vector<double>* x, std::int64_t step) {
    Status told = Save(session, x, step);
    EXPECT_FALSE(told.ok());
    EXPECT_NE(told.message().find("declared dead"), std::string::npos) << told.ToString();
    EXPECT_TRUE(Noticed("declared dead"));
    // Where somebody went on with the series it is a branch from here on, and says so once.
    std::int64_t next = step + 1;
    Status s = Save(session, x, next);
    if (!s.ok()) s = Save(session, x, ++next);
    ASSERT_OK(s);
    EXPECT_EQ(session->Report().durable_step, next);
    newest_ = next;
  }
  void ExpectHas(Env* node, std::int64_t step) {
    auto session = OpenOn(node);
    ASSERT_NE(session, nullptr);
    std::vector<double> x;
    ASSERT_OK(session->Protect(VectorItem("x", &x)));
    auto restored = session->Restore(step);
    ASSERT_TRUE(restored.ok()) << "step " << step << ": " << restored.status().ToString();
    EXPECT_EQ(x, std::vector<double>(50000, static_cast<double>(step)));
  }
  std::int64_t NewestOn(Env* node) {
    auto session = OpenOn(node);
    std::vector<double> x;
    EXPECT_OK(session->Protect(VectorItem("x", &x)));
    auto restored = session->Restore();
    return restored.ok() && restored->restored ? restored->step : -1;
  }

  SimWorld world_{5};
  std::unique_ptr<SimProcess> asleep_;
  std::unique_ptr<SimProcess> awake_;
  std::int64_t newest_ = -1;
};

TEST_F(SessionDeclaredDead, SaysSoAndGoesOnInANewPack) {
  std::vector<double> x(50000);
  {
    auto s = OpenOn(asleep_.get());
    ASSERT_OK(s->Protect(VectorItem("x", &x)));
    ASSERT_OK(Save(s.get(), &x, 1));
    ASSERT_OK(Save(s.get(), &x, 2));
    DeclareDead();
    ExpectToldAndSavedAgain(s.get(), &x, 3);
    EXPECT_EQ(s->Finish(true).exit_code, 0);
  }
  EXPECT_EQ(NewestOn(awake_.get()), newest_);
  for (std::int64_t step : {std::int64_t{1}, std::int64_t{2}, newest_}) {
    ExpectHas(awake_.get(), step);
  }
}

TEST_F(SessionDeclaredDead, WhatWasOnlyStagedIsLostAndSaid) {
  options_.durability = Durability::kOnRequest;
  std::vector<double> x(50000);
  {
    auto s = OpenOn(asleep_.get());
    ASSERT_OK(s->Protect(VectorItem("x", &x)));
    ASSERT_OK(Save(s.get(), &x, 1));
    x.assign(x.size(), 2.0);
    ASSERT_OK(s->Step(2).error);
    ASSERT_OK(s->WaitStaged());
    DeclareDead();
    Status committed = s->Commit();
    EXPECT_NE(committed.message().find("declared dead"), std::string::npos) << committed.ToString();
    EXPECT_EQ(s->Report().durable_step, 1);
    ASSERT_OK(Save(s.get(), &x, 3));
    newest_ = 3;
  }
  EXPECT_EQ(NewestOn(awake_.get()), 3);
  ExpectHas(awake_.get(), 1);
}

// Another run restored step 2 and went on: that is the series' line, and stays it; what the sleeper
// saves from then on is a branch of its own, newer than both.
TEST_F(SessionDeclaredDead, BesideARunThatTookOverItBecomesABranch) {
  std::vector<double> x(50000), y(50000);
  {
    auto s = OpenOn(asleep_.get());
    ASSERT_OK(s->Protect(VectorItem("x", &x)));
    ASSERT_OK(Save(s.get(), &x, 1));
    ASSERT_OK(Save(s.get(), &x, 2));
    DeclareDead();
    {
      auto other = OpenOn(awake_.get());
      ASSERT_OK(other->Protect(VectorItem("x", &y)));
      ASSERT_TRUE(other->Restore().ok());
      EXPECT_EQ(y, std::vector<double>(50000, 2.0));
      ASSERT_OK(Save(other.get(), &y, 10));
      ASSERT_OK(Save(other.get(), &y, 11));
    }
    ExpectToldAndSavedAgain(s.get(), &x, 3);
  }
  EXPECT_EQ(NewestOn(awake_.get()), newest_);
  for (std::int64_t step :
       {std::int64_t{1}, std::int64_t{2}, std::int64_t{10}, std::int64_t{11}, newest_}) {
    ExpectHas(awake_.get(), step);
  }
}

}  // namespace
}  // namespace ckpt
