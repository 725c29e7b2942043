# A formula that builds from source. `make dist RELEASE_URL=URL` writes one with the `url` and
# the `sha256` of the source that it has packed.
class Jetsend < Formula
  desc "Send files to XMPP contacts, end-to-end encrypted"
  homepage "https://jetsend.invalid/"
  url "https://jetsend.invalid/jetsend-1.0.0.tar.gz"
  sha256 "0000000000000000000000000000000000000000000000000000000000000000"
  license "GPL-3.0-or-later"
  head "https://jetsend.invalid/jetsend.git", branch: "main"

  depends_on "go" => :build

  def install
    system "make", "build", "VERSION=#{version}"
    system "make", "install", "BINARY=bin/jetsend", "PREFIX=#{prefix}"
  end

  service do
    run [opt_bin/"jetsend", "receive"]
    keep_alive successful_exit: false
    log_path var/"log/jetsend.log"
    error_log_path var/"log/jetsend.log"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/jetsend version")
  end
end
