#include "cli/json.cc"  // see text_test.cc

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

namespace ckpt {
namespace {

std::string FromBase64(const std::string& text) {
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (const char c : text) {
    if (c == '=') break;
    bits = (bits << 6u) | static_cast<std::uint32_t>(digits.find(c));
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += static_cast<char>((bits >> static_cast<unsigned>(count)) & 0xFFu);
    }
  }
  return out;
}

RC_GTEST_PROP(JsonText, AnyBytesComeBack, (const std::vector<std::uint8_t>& raw)) {
  const std::string bytes(raw.begin(), raw.end());
  Json object = Json::object();
  SetText(object, "name", bytes);
  const Json parsed = Json::parse(JsonLine(object));
  const std::string back = parsed.contains("name_base64")
                               ? FromBase64(parsed["name_base64"].get<std::string>())
                               : parsed["name"].get<std::string>();
  RC_ASSERT(back == bytes);
  RC_ASSERT(parsed.contains("name_base64") == !IsUtf8(bytes));
}

TEST(JsonText, OrdinaryNamesHaveNoSecondKey) {
  Json object = Json::object();
  SetText(object, "name", "caf\xC3\xA9");
  EXPECT_EQ(object.dump(), "{\"name\":\"caf\xC3\xA9\"}");
  SetText(object, "name", "caf\xE9");
  EXPECT_EQ(object["name"], "caf\xEF\xBF\xBD");
  EXPECT_EQ(object["name_base64"], "Y2Fm6Q==");
}

TEST(JsonList, DocumentsParseWhetherEmptyOrNot) {
  JsonList list;
  EXPECT_EQ(Json::parse(list.Document()), Json::array());
  EXPECT_EQ(Json::parse(list.DocumentIn(Json::object(), "x")), Json::parse(R"({"x":[]})"));
  list.Add({{"a", 1}});
  list.Add({{"b", "\n"}});
  const Json expected = Json::parse(R"([{"a":1},{"b":"\n"}])");
  EXPECT_EQ(Json::parse(list.Document()), expected);
  const Json in = Json::parse(list.DocumentIn({{"n", 5}, {"s", "x"}}, "x"));
  EXPECT_EQ(in["x"], expected);
  EXPECT_EQ(in["n"], 5);
}

ckpt_checkpoint SampleCheckpoint() {
  ckpt_checkpoint checkpoint = {};
  checkpoint.series = "melt";
  checkpoint.attempt = 2;
  checkpoint.attempt_id = "00112233445566778899aabbccddeeff";
  checkpoint.step = 5000;
  checkpoint.ranks = 1;
  checkpoint.state = "committed";
  checkpoint.host_name = "node17";
  checkpoint.job_id = "";
  return checkpoint;
}

TEST(CheckpointJson, HasTheKeysOfTheContract) {
  const Json json = CheckpointJson(SampleCheckpoint());
  for (const char* key :
       {"series", "attempt", "step", "parent", "rank", "ranks", "created", "state", "entries",
        "logical_bytes", "new_bytes", "stored_bytes", "tags"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
  EXPECT_TRUE(json["parent"].is_null());
  EXPECT_TRUE(json["tags"].is_object());
}

TEST(CheckpointJson, ParentAndOddTags) {
  ckpt_checkpoint checkpoint = SampleCheckpoint();
  checkpoint.has_parent = 1;
  checkpoint.parent_attempt = 1;
  checkpoint.parent_step = 4000;
  const ckpt_tag tags[] = {{"k\xFF", "v"}, {"k\xFE", "w"}};
  checkpoint.tags = tags;
  checkpoint.tag_count = 2;
  const Json json = Json::parse(JsonLine(CheckpointJson(checkpoint)));
  EXPECT_EQ(json["parent"]["step"], 4000);
  ASSERT_EQ(json["tags_base64"].size(), 2u);  // though the two keys look alike
  EXPECT_EQ(FromBase64(json["tags_base64"][1][0]), "k\xFE");
  EXPECT_EQ(FromBase64(json["tags_base64"][1][1]), "w");
  EXPECT_EQ(FullName(checkpoint), "melt@2:5000");
}

}  // namespace
}  // namespace ckpt
