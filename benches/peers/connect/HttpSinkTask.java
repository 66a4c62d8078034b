import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Collection;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.zip.Deflater;
import java.util.zip.GZIPOutputStream;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.errors.ConnectException;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.sink.SinkTask;

/**
 * Posts batches of metric events, several at once, and lets Connect commit only what was accepted.
 *
 * Takes what a converter makes of records (maps and structs), and bytes, which it reads with a
 * streaming parser: less work than any converter leaves.
 */
public final class HttpSinkTask extends SinkTask {
    private static final JsonFactory JSON = new JsonFactory();

    private final ArrayDeque<CompletableFuture<Void>> underWay = new ArrayDeque<>();
    private HttpClient client;
    private URI url;
    private boolean gzip;
    private boolean debezium;
    private int maxEvents;
    private int maxRequests;
    private long lingerNanos;

    private ByteArrayOutputStream body;
    private JsonGenerator events;
    private int count;
    private long since;

    // The mapped fields of the record in hand.
    private String id;
    private String user;
    private double total;
    private long createdAt;

    @Override
    public void start(Map<String, String> settings) {
        url = URI.create(settings.get("http.url"));
        gzip = Boolean.parseBoolean(settings.get("http.gzip"));
        debezium = Boolean.parseBoolean(settings.get("debezium"));
        maxEvents = Integer.parseInt(settings.get("batch.max.events"));
        maxRequests = Integer.parseInt(settings.get("requests.max"));
        lingerNanos = Long.parseLong(settings.get("batch.linger.ms")) * 1_000_000;
        client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    }

    @Override
    public void put(Collection<SinkRecord> records) {
        try {
            for (SinkRecord record : records) {
                add(record.value());
                if (count >= maxEvents) {
                    post();
                }
            }
            if (count > 0) {
                long left = since + lingerNanos - System.nanoTime();
                if (left <= 0) {
                    post();
                } else {
                    // Call again even when no record comes.
                    context.timeout(Math.max(1, left / 1_000_000));
                }
            }
        } catch (IOException error) {
            throw new ConnectException(error);
        }
        while (!underWay.isEmpty() && underWay.peek().isDone()) {
            underWay.remove().join();
        }
    }

    /** Everything taken is accepted when this returns; only then are its offsets committed. */
    @Override
    public void flush(Map<TopicPartition, OffsetAndMetadata> offsets) {
        try {
            if (count > 0) {
                post();
            }
        } catch (IOException error) {
            throw new ConnectException(error);
        }
        while (!underWay.isEmpty()) {
            underWay.remove().join();
        }
    }

    @Override
    public void stop() {}

    @Override
    public String version() {
        return "0";
    }

    private void add(Object value) throws IOException {
        if (count == 0) {
            body = new ByteArrayOutputStream(256 * 1024);
            events = JSON.createGenerator(body);
            events.writeStartArray();
            since = System.nanoTime();
        }
        read(value);
        events.writeStartObject();
        events.writeStringField("kind", "custom");
        events.writeStringField("key", "paid");
        events.writeObjectFieldStart("contextKeys");
        events.writeStringField("user", user);
        events.writeEndObject();
        events.writeNumberField("metricValue", total);
        events.writeNumberField("creationDate", createdAt);
        events.writeObjectFieldStart("data");
        events.writeStringField("id", id);
        events.writeEndObject();
        events.writeEndObject();
        count++;
    }

    private void read(Object value) throws IOException {
        if (value instanceof byte[] bytes) {
            readBytes(bytes);
        } else if (value instanceof Struct struct) {
            Struct row = debezium ? struct.getStruct("after") : struct;
            id = row.getString("id");
            user = row.getString("user_id");
            total = row.getFloat64("total");
            createdAt = row.getInt64("created_at");
        } else {
            Map<?, ?> map = (Map<?, ?>) value;
            Map<?, ?> row = debezium ? (Map<?, ?>) map.get("after") : map;
            id = (String) row.get("id");
            user = (String) row.get("user_id");
            total = ((Number) row.get("total")).doubleValue();
            createdAt = ((Number) row.get("created_at")).longValue();
        }
    }

    private void readBytes(byte[] bytes) throws IOException {
        try (JsonParser parser = JSON.createParser(bytes)) {
            parser.nextToken();
            if (debezium) {
                enter(parser);
            }
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String name = parser.currentName();
                parser.nextToken();
                switch (name) {
                    case "id" -> id = parser.getText();
                    case "user_id" -> user = parser.getText();
                    case "total" -> total = parser.getDoubleValue();
                    case "created_at" -> createdAt = parser.getLongValue();
                    default -> parser.skipChildren();
                }
            }
        }
    }

    /** Goes to the row after the change, with or without a schema around the envelope. */
    private static void enter(JsonParser parser) throws IOException {
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String name = parser.currentName();
            parser.nextToken();
            if (name.equals("after")) {
                return;
            }
            if (!name.equals("payload")) {
                parser.skipChildren();
            }
        }
        throw new IOException("no row");
    }

    private void post() throws IOException {
        events.writeEndArray();
        events.close();
        HttpRequest.Builder request = HttpRequest.newBuilder(url).timeout(Duration.ofSeconds(30));
        request.header("content-type", "application/json");
        byte[] bytes = body.toByteArray();
        if (gzip) {
            bytes = compressed(bytes);
            request.header("content-encoding", "gzip");
        }
        request.POST(BodyPublishers.ofByteArray(bytes));
        count = 0;
        while (underWay.size() >= maxRequests) {
            underWay.remove().join();
        }
        underWay.add(
                client.sendAsync(request.build(), BodyHandlers.discarding())
                        .thenAccept(
                                answer -> {
                                    if (answer.statusCode() / 100 != 2) {
                                        throw new ConnectException("status " + answer.statusCode());
                                    }
                                }));
    }

    private static byte[] compressed(byte[] bytes) throws IOException {
        ByteArrayOutputStream zipped = new ByteArrayOutputStream(bytes.length / 8);
        try (OutputStream stream =
                new GZIPOutputStream(zipped, 64 * 1024) {
                    {
                        def.setLevel(Deflater.BEST_SPEED);
                    }
                }) {
            stream.write(bytes);
        }
        return zipped.toByteArray();
    }
}
