#include "cli/text.cc"  // the command is no library: its test programs compile what they test

#include <gtest/gtest.h>

#include <cstdlib>

namespace ckpt {
namespace {

TEST(Utf8, ValidAndInvalidSequencesAreToldApart) {
  EXPECT_TRUE(IsUtf8(""));
  EXPECT_TRUE(IsUtf8("plain"));
  EXPECT_TRUE(IsUtf8("\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80"));
  EXPECT_FALSE(IsUtf8("\xFF"));
  EXPECT_FALSE(IsUtf8("\xC3"));              // cut
  EXPECT_FALSE(IsUtf8("\xC0\xAF"));          // over-long '/'
  EXPECT_FALSE(IsUtf8("\xE0\x80\xAF"));      // over-long
  EXPECT_FALSE(IsUtf8("\xED\xA0\x80"));      // a surrogate
  EXPECT_FALSE(IsUtf8("\xF4\x90\x80\x80"));  // above U+10FFFF
  EXPECT_FALSE(IsUtf8("\x80"));              // a continuation alone
}

TEST(Utf8, EachOddByteIsReplaced) {
  EXPECT_EQ(ReplaceInvalidUtf8("a\xFF\xFE\xC3\xA9"), "a\xEF\xBF\xBD\xEF\xBF\xBD\xC3\xA9");
}

TEST(PrintableName, ControlCharactersNeverReachATerminal) {
  EXPECT_EQ(PrintableName("a\x1b[31m\n\t\x7f"), "a\\x1b[31m\\n\\t\\x7f");
  EXPECT_EQ(PrintableName("\xC2\x9B"), "\\u009b");      // CSI in one character
  EXPECT_EQ(PrintableName("\xE2\x80\xAE"), "\\u202e");  // right-to-left override
  EXPECT_EQ(PrintableName("\xE9"), "\\xe9");
  EXPECT_EQ(PrintableName("caf\xC3\xA9"), "caf\xC3\xA9");
}

TEST(PrintableName, EscapedAndPlainNamesDiffer) {
  EXPECT_NE(PrintableName("\n"), PrintableName("\\n"));
  EXPECT_EQ(PrintableMessage("\\n"), "\\n");
}

TEST(PrintableName, NoSingleByteIsPrintedAsControl) {
  for (int byte = 0; byte < 256; ++byte) {
    for (const char shown : PrintableName(std::string(1, static_cast<char>(byte)))) {
      EXPECT_GE(shown, 0x20) << byte;
      EXPECT_NE(shown, 0x7F) << byte;
    }
  }
}

TEST(Base64, KnownAnswers) {  // RFC 4648, section 10
  EXPECT_EQ(Base64(""), "");
  EXPECT_EQ(Base64("f"), "Zg==");
  EXPECT_EQ(Base64("fo"), "Zm8=");
  EXPECT_EQ(Base64("foo"), "Zm9v");
  EXPECT_EQ(Base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(Base64("\xFB\xFF"), "+/8=");
}

TEST(HumanBytes, UnitsChangeWhereTheNumberWouldGrowTooLong) {
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(1023), "1023 B");
  EXPECT_EQ(HumanBytes(1024), "1.0 KiB");
  EXPECT_EQ(HumanBytes(1024 * 1024 - 1), "1.0 MiB");  // never "1024.0 KiB"
  EXPECT_EQ(HumanBytes(92345678), "88.1 MiB");
  EXPECT_EQ(HumanBytes(UINT64_MAX), "16.0 EiB");
}

TEST(HumanNumbers, CountsSecondsRatios) {
  EXPECT_EQ(HumanCount(0), "0");
  EXPECT_EQ(HumanCount(999), "999");
  EXPECT_EQ(HumanCount(1000), "1,000");
  EXPECT_EQ(HumanCount(12345678), "12,345,678");
  EXPECT_EQ(HumanSeconds(0.5234), "0.52 s");
  EXPECT_EQ(HumanSeconds(9.999), "10.0 s");
  EXPECT_EQ(HumanSeconds(59.97), "1 min 00 s");
  EXPECT_EQ(HumanSeconds(185), "3 min 05 s");
  EXPECT_EQ(HumanSeconds(7440), "2 h 04 min");
  EXPECT_EQ(HumanSeconds(-1), "0.00 s");
  EXPECT_EQ(HumanRatio(3.4159), "3.42:1");
  EXPECT_EQ(HumanRatio(0), "-");
  EXPECT_EQ(HumanPercent(1, 8), "12.5 %");
  EXPECT_EQ(HumanPercent(0, 0), "-");
  EXPECT_EQ(Ratio(1, 0), 0);
}

TEST(Times, UtcHasMicrosecondsAndCountsBackBefore1970) {
  EXPECT_EQ(UtcTime(1767225600123456789), "2026-01-01T00:00:00.123456Z");
  EXPECT_EQ(UtcTime(-1), "1969-12-31T23:59:59.999999Z");
  EXPECT_EQ(UtcTime(0), "1970-01-01T00:00:00.000000Z");
}

TEST(Times, LocalTimeIsLocal) {
  setenv("TZ", "XXX-2", 1);
  tzset();
  EXPECT_EQ(LocalTime(1767225600123456789), "2026-01-01 02:00:00");
  unsetenv("TZ");
  tzset();
}

TEST(Table, ColumnsAlignByWidthOnScreen) {
  Table table({{"NAME"}, {"SIZE", Table::Align::kRight}, {"TAGS"}});
  table.AddRow({"caf\xC3\xA9", "1 B", ""});
  table.AddRow({"\xE6\xBC\xA2\xE5\xAD\x97", "12345 B", "x"});
  EXPECT_EQ(table.Text(),
            "NAME     SIZE  TAGS\n"
            "caf\xC3\xA9      1 B\n"
            "\xE6\xBC\xA2\xE5\xAD\x97  12345 B  x\n");
}

}  // namespace
}  // namespace ckpt
