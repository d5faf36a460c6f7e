# The opening of an SCTP association (RFC 9260: INIT, INIT ACK) over raw sockets, since Node has no SCTP and many kernels
# have only netfilter's half of it. Usage:
#   perl sctp.pl serve NAME PORT     answers every INIT to the port with NAME and the client's address in the cookie
#   perl sctp.pl ask ADDRESS PORT    prints that cookie, `refused` after ICMP unreachable, or `timeout` after 0.7 s
use strict;
use warnings;
use Errno qw(ECONNREFUSED);
use Socket;

my @table = map {
    my $crc = $_;
    $crc = $crc & 1 ? ($crc >> 1) ^ 0x82F63B78 : $crc >> 1 for 1 .. 8;
    $crc;
} 0 .. 255;

# The checksum is CRC32c over the packet with a zero in its place, little end first; netfilter drops what has another.
sub packet {
    my ($from, $to, $tag, $type, $value) = @_;
    my $chunk = pack('CCn', $type, 0, 4 + length $value) . $value;
    $chunk .= "\0" x (-length($chunk) % 4);
    my $crc = 0xFFFFFFFF;
    $crc = $table[($crc ^ $_) & 255] ^ ($crc >> 8) for unpack 'C*', pack('nnNN', $from, $to, $tag, 0) . $chunk;
    return pack('nnNV', $from, $to, $tag, $crc ^ 0xFFFFFFFF) . $chunk;
}

# Initiate tag, window, streams out and in, first TSN.
sub init { pack('NNnnN', shift, 65536, 1, 1, 1) . join '', @_ }

sub receive {
    my $peer = recv(my $socket = shift, my $packet, 2048, 0);
    return unless defined $peer;
    my $header = (ord($packet) & 15) * 4;
    my ($from, $to, $tag, undef, $type, undef, $length, $initiate) = unpack 'nnNNCCnN', substr $packet, $header;
    return { peer => $peer, from => $from, to => $to, tag => $initiate, type => $type, value => substr $packet, $header + 32, $length - 20 };
}

my ($mode, @args) = @ARGV;
socket(my $socket, PF_INET, SOCK_RAW, 132) or die "socket: $!";
if ($mode eq 'serve') {
    my ($name, $port) = @args;
    syswrite STDOUT, "ready\n";
    while (1) {
        my $init = receive($socket) or next;
        next unless $init->{type} == 1 && $init->{to} == $port;
        my $cookie = "$name $port " . inet_ntoa((sockaddr_in($init->{peer}))[1]);
        my $state = pack('nn', 7, 4 + length $cookie) . $cookie;
        send $socket, packet($port, $init->{from}, $init->{tag}, 2, init(1, $state)), 0, $init->{peer};
    }
}
my ($address, $port) = @args;
my $own = 20000 + int rand 20000;
connect $socket, sockaddr_in(0, inet_aton($address)) or die "connect: $!";
setsockopt $socket, SOL_SOCKET, SO_RCVTIMEO, pack('l!l!', 0, 700_000);
send $socket, packet($own, $port, 0, 1, init(7)), 0;
while (1) {
    my $answer = receive($socket);
    if (!$answer) { print $! == ECONNREFUSED ? 'refused' : 'timeout'; last }
    next unless $answer->{type} == 2 && $answer->{to} == $own && $answer->{from} == $port;
    print substr $answer->{value}, 4;
    last;
}
