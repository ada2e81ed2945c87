#!/usr/bin/env bash
# Package: dev.langchain4j:langchain4j-open-ai 1.19.0 (Java 17), OpenAiStreamingChatModel.
# Expected: onError for an error inside a stream in OpenAI's own form, `data: {"error": {...}}` without an event name: that is
#   what openai's own clients for Python, JavaScript and Go look for.
# What happens: the object is read as a chunk that has no choices, and onCompleteResponse gets half the text, without finish
#   reason and usage. Only under the name `event: error` it is an error.
# Seen on 2026-11-30:
#   unnamed Half onCompleteResponse finishReason=null
#   named   Half onError
#   plain   Half rest onCompleteResponse finishReason=STOP
# Why it matters: no form of the event serves everybody. langchain4j needs the name; together-ai's clients need that there is
#   none (event-message-empties-a-stream), go-openai, too (go-openai-reads-an-error-by-its-first-bytes). A gateway has to choose,
#   and to cut the body without its proper end behind the event: that langchain4j reports as well, as the others do.
set -euo pipefail
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
cat > "$tmp/pom.xml" <<'XML'
<project><modelVersion>4.0.0</modelVersion>
  <groupId>finding</groupId><artifactId>finding</artifactId><version>1</version>
  <dependencies><dependency>
    <groupId>dev.langchain4j</groupId><artifactId>langchain4j-open-ai</artifactId><version>1.19.0</version>
  </dependency></dependencies>
</project>
XML
cat > "$tmp/Ask.java" <<'JAVA'
import com.sun.net.httpserver.HttpServer;
import dev.langchain4j.model.chat.response.*;
import dev.langchain4j.model.openai.OpenAiStreamingChatModel;
import java.net.InetSocketAddress;
import java.util.*;
import java.util.concurrent.*;

public class Ask {
    static String chunk(String text, String finish) {
        return "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\""
            + text + "\"},\"finish_reason\":" + finish + "}]}\n\n";
    }

    public static void main(String[] args) throws Exception {
        String error = "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n";
        var streams = new LinkedHashMap<String, String>();
        streams.put("unnamed", chunk("Half", "null") + error);
        streams.put("named", chunk("Half", "null") + "event: error\n" + error);
        streams.put("plain", chunk("Half", "null") + chunk(" rest", "\"stop\"") + "data: [DONE]\n\n");
        var provider = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        provider.createContext("/", exchange -> {
            exchange.getRequestBody().readAllBytes();
            byte[] body = streams.get(exchange.getRequestURI().getPath().split("/")[1]).getBytes();
            exchange.getResponseHeaders().set("content-type", "text/event-stream");
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        provider.start();
        for (String name : streams.keySet()) {
            var model = OpenAiStreamingChatModel.builder().apiKey("k").modelName("m")
                .baseUrl("http://127.0.0.1:" + provider.getAddress().getPort() + "/" + name).build();
            var text = new StringBuilder();
            var end = new CompletableFuture<String>();
            model.chat("hi", new StreamingChatResponseHandler() {
                public void onPartialResponse(String part) { text.append(part); }
                public void onCompleteResponse(ChatResponse r) { end.complete("onCompleteResponse finishReason=" + r.finishReason()); }
                public void onError(Throwable e) { end.complete("onError"); }
            });
            String how = end.get(20, TimeUnit.SECONDS);
            System.out.printf("%-7s %s %s%n", name, text, how);
        }
        provider.stop(0);
        System.exit(0);
    }
}
JAVA
mvn -q -B -f "$tmp/pom.xml" dependency:build-classpath -Dmdep.outputFile="$tmp/classpath" >"$tmp/mvn.log" || { cat "$tmp/mvn.log"; exit 1; }
java -cp "$(cat "$tmp/classpath")" "$tmp/Ask.java" 2>"$tmp/err" | tee "$tmp/seen"
sed -n 's/^#   \(.* on[CE].*\)$/\1/p' "$0" | diff - "$tmp/seen"
