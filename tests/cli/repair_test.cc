// ckpt-store repair, and what list, restore and check say of damage that takes checkpoints off the
// list: as users and job scripts see it.

#include "tests/cli/cli_fixture.h"

namespace ckpt {
namespace {

namespace fs = std::filesystem;

class RepairCommandTest : public CliTest {
 protected:
  void SaveStep(int step) const {
    Write("data", Noise(200000, static_cast<std::uint64_t>(step)));
    Write("more", "the same at every step");
    Do("ckpt-store save melt data more -q --reread --step " + std::to_string(step));
  }
  // The pack that is written into.
  fs::path Pack() const {
    fs::path newest;
    for (const auto& file : fs::directory_iterator(Path(".ckpt/packs"))) {
      if (newest.empty() || file.last_write_time() > fs::last_write_time(newest)) {
        newest = file.path();
      }
    }
    return newest;
  }
  // In the middle of step 2's data, or where the last manifest has its series.
  void Damage(const std::string& what) const {
    std::ifstream in(Pack(), std::ios::binary);
    std::string bytes{std::istreambuf_iterator<char>(in), {}};
    std::size_t at =
        what == "data" ? bytes.find(Noise(200000, 2).substr(100000, 64)) : bytes.rfind("melt");
    ASSERT_NE(at, std::string::npos);
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    std::ofstream(Pack(), std::ios::binary) << bytes;
  }
};

TEST_F(RepairCommandTest, NothingDamagedIsNothingDone) {
  SaveStep(1);
  EXPECT_NE(Do("ckpt-store repair").out.find("nothing is damaged"), std::string::npos);
  EXPECT_EQ(Do("ckpt-store repair -q").out, "");
  const auto json = Do("ckpt-store repair --json").Json();
  ExpectKeys(json,
             "dry_run damaged set_aside lost unnamed kept_chunks lost_chunks seconds newest_sound");
  EXPECT_EQ(json["set_aside"].size(), 0u);
  EXPECT_EQ(json["newest_sound"][0]["step"], 1);
  EXPECT_FALSE(fs::exists(Path(".ckpt/quarantine")));
}

TEST_F(RepairCommandTest, SetsAsideSaysWhatIsLostAndASaveHeals) {
  SaveStep(1);
  SaveStep(2);
  SaveStep(3);
  Damage("data");
  const std::string name = Pack().filename();
  const Outcome damaged = Run("ckpt-store restore melt@2 --to two");
  EXPECT_EQ(damaged.exit, 3);
  for (const std::string& part : {std::string("melt@1:2 is damaged"), "packs/" + name + " at "}) {
    EXPECT_NE(damaged.err.find(part), std::string::npos) << damaged.err;
  }
  Outcome plan = Run("ckpt-store repair --dry-run --json");
  EXPECT_EQ(plan.exit, 3);
  EXPECT_EQ(plan.Json()["set_aside"][0]["pack"], "packs/" + name);
  EXPECT_EQ(plan.Json()["set_aside"][0]["moved_to"], "");
  EXPECT_TRUE(fs::exists(Path(".ckpt/packs") / name));
  Outcome done = Run("ckpt-store repair --json");
  EXPECT_EQ(done.exit, 3);
  const auto json = done.Json();
  EXPECT_EQ(json["set_aside"][0]["moved_to"], "quarantine/" + name);
  EXPECT_EQ(json["lost"].size(), 1u);
  EXPECT_EQ(json["lost"][0]["checkpoint"], "melt@1:2");
  EXPECT_EQ(json["lost"][0]["entries"], nlohmann::json({"data"}));
  EXPECT_EQ(json["newest_sound"][0]["step"], 3);
  EXPECT_TRUE(fs::exists(Path(".ckpt/quarantine") / name));
  EXPECT_FALSE(fs::exists(Path(".ckpt/packs") / name));
  Do("ckpt-store restore melt@1 --to one && ckpt-store restore melt@3 --to three");
  EXPECT_TRUE(Read("three/data") == Noise(200000, 3));
  EXPECT_EQ(Run("ckpt-store restore melt@2 --to two").exit, 3);
  EXPECT_EQ(Run("ckpt-store check -q").exit, 3) << "it says what is lost";
  EXPECT_EQ(Run("ckpt-store repair -q").exit, 3);
  Write("data", Noise(200000, 2));
  Do("ckpt-store save again data more -q --reread");
  Do("ckpt-store check && ckpt-store repair && ckpt-store restore melt@2 --to two");
  EXPECT_TRUE(Read("two/data") == Noise(200000, 2));
  Do("ckpt-store gc -q && ckpt-store check -q && rm -r two && ckpt-store restore melt@2 --to two");
}

// `restore || [ $? -eq 4 ]` in a job script must not begin from scratch where something was.
TEST_F(RepairCommandTest, AManifestThatCannotBeReadIsNoMissingSeries) {
  SaveStep(1);
  Do("rm -r .ckpt/index");
  Damage("manifest");
  const Outcome restored = Run("ckpt-store restore melt --to out");
  EXPECT_EQ(restored.exit, 3) << restored.err;
  EXPECT_NE(restored.err.find(Pack().filename()), std::string::npos) << restored.err;
  EXPECT_NE(Run("ckpt-store list").err.find("checkpoints may be missing"), std::string::npos);
  const Outcome repaired = Run("ckpt-store repair");
  EXPECT_EQ(repaired.exit, 3);
  EXPECT_NE(repaired.out.find("nobody can name"), std::string::npos) << repaired.out;
  EXPECT_EQ(Run("ckpt-store restore melt --to out").exit, 4) << "given up by a person";
  Do("ckpt-store check -q");
}

TEST_F(RepairCommandTest, APackThatIsGoneIsNamedUntilItIsBackOrGivenUp) {
  SaveStep(1);
  const fs::path pack = Pack();
  fs::rename(pack, Path("kept"));
  EXPECT_NE(Run("ckpt-store list").err.find("no collection moved it"), std::string::npos);
  EXPECT_EQ(Do("ckpt-store list --json").Json()[0]["state"], "damaged");
  EXPECT_EQ(Run("ckpt-store restore melt --to out").exit, 3);
  EXPECT_EQ(Run("ckpt-store check -q").exit, 3);
  fs::rename(Path("kept"), pack);
  Do("ckpt-store restore melt --to out && ckpt-store check -q");
  fs::remove(pack);
  const Outcome repaired = Run("ckpt-store repair");
  EXPECT_EQ(repaired.exit, 3);
  EXPECT_NE(repaired.out.find("lost: melt@1:1, all of it"), std::string::npos) << repaired.out;
  EXPECT_EQ(Do("ckpt-store list").err.find("no collection moved it"), std::string::npos);
  Do("ckpt-store check -q");
}

TEST_F(RepairCommandTest, ABusyStoreIsLeftAsItIs) {
  SaveStep(1);
  SaveStep(2);
  Damage("data");
  const Outcome busy = Run("ckpt-store freeze -- ckpt-store repair --wait=0s");
  EXPECT_EQ(busy.exit, 5) << busy.err;
  EXPECT_FALSE(fs::exists(Path(".ckpt/quarantine")));
}

}  // namespace
}  // namespace ckpt
