// Reads {"msgId":…} and writes the number back: java Numbers.java HOW TEXT

import com.fasterxml.jackson.databind.ObjectMapper;
import com.google.gson.Gson;
import java.util.Map;

class Numbers {
    static class Message {
        long msgId;
    }

    public static void main(String[] args) throws Exception {
        Gson gson = new Gson();
        ObjectMapper jackson = new ObjectMapper();
        System.out.println(switch (args[0]) {
            case "gson long" -> gson.toJson(Map.of("received", gson.fromJson(args[1], Message.class).msgId));
            case "gson map" -> gson.toJson(Map.of("received", gson.fromJson(args[1], Map.class).get("msgId")));
            case "jackson map" -> jackson.writeValueAsString(
                Map.of("received", jackson.readValue(args[1], Map.class).get("msgId")));
            case "jackson double" -> jackson.writeValueAsString(
                Map.of("received", jackson.readTree(args[1]).get("msgId").doubleValue()));
            default -> throw new IllegalArgumentException(args[0]);
        });
    }
}
