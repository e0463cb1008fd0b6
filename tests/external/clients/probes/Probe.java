// A client by java.net.http: java Probe.java java_net_http URL HOW
//
// Prints what it gets, waits with the first message until it is told to go on, and prints how the connection ended.
// HOW is "blocked", where the wait blocks the listener, or "idle", where only the next message is not asked for.

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;

class Probe implements WebSocket.Listener {
    static final CompletableFuture<Void> END = new CompletableFuture<>();
    static boolean blocked;
    boolean waited;

    public static void main(String[] args) {
        blocked = args[2].equals("blocked");
        HttpClient.newHttpClient().newWebSocketBuilder().buildAsync(URI.create(args[1]), new Probe()).join();
        END.join();
        System.exit(0);
    }

    @Override
    public CompletionStage<?> onText(WebSocket socket, CharSequence text, boolean last) {
        System.out.println("message " + text);
        Runnable goOn = () -> {
            if (!waited) readLine();
            waited = true;
            socket.request(1);
        };
        if (blocked) goOn.run();
        else CompletableFuture.runAsync(goOn);
        return null;
    }

    @Override
    public CompletionStage<?> onClose(WebSocket socket, int code, String reason) {
        System.out.println("closed " + code + " " + reason);
        END.complete(null);
        return null;
    }

    static void readLine() {
        try {
            while (System.in.read() != '\n') {}
        } catch (java.io.IOException error) {
            throw new java.io.UncheckedIOException(error);
        }
    }
}
