# A client by one of the libraries: probe.pl LIBRARY URL HOW
#
# Prints what it gets, waits with the first message until it is told to go on, and prints how the connection ended.
# HOW is "blocked", where the wait blocks the loop; "idle", where the handler returns; or "goodbye", where the client
# ends the connection itself with the first message.

use v5.36;

my ($library, $url, $how) = @ARGV;
my $seen = 0;
$| = 1;

sub handle ($text) {
    say "message $text";
    <STDIN> if !$seen++ && $how eq 'blocked';
}

my %probes = (
    mojolicious => sub {
        require Mojo::UserAgent;
        my $agent = Mojo::UserAgent->new;
        $agent->websocket($url => sub ($agent, $socket) {
            die $socket->error->{message} unless $socket->is_websocket;
            $socket->on(message => sub ($socket, $text) { handle($text) });
            $socket->on(finish => sub ($socket, $code, $reason = '') {
                say "closed $code $reason";
                Mojo::IOLoop->stop;
            });
        });
        Mojo::IOLoop->start;
    },
    anyevent => sub {
        require AnyEvent::WebSocket::Client;
        my $ended = AnyEvent->condvar;
        our $socket;
        AnyEvent::WebSocket::Client->new->connect($url)->cb(sub ($connecting) {
            $socket = $connecting->recv;
            $socket->on(each_message => sub ($socket, $message, @) {
                handle($message->body);
                $socket->close if $how eq 'goodbye';
            });
            $socket->on(finish => sub ($socket, @) {
                say 'closed ', $socket->close_code, ' ', $socket->close_reason // '';
                $ended->send;
            });
        });
        $ended->recv;
    },
);
$probes{$library}->();
