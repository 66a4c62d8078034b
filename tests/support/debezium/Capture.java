import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.debezium.embedded.Connect;
import io.debezium.engine.DebeziumEngine;
import io.debezium.engine.DebeziumEngine.ChangeConsumer;
import io.debezium.engine.DebeziumEngine.RecordCommitter;
import io.debezium.engine.RecordChangeEvent;
import io.debezium.engine.format.ChangeEventFormat;
import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.connect.header.Header;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.storage.Converter;
import org.apache.kafka.connect.storage.HeaderConverter;

/**
 * Runs Debezium engines side by side and writes what each one emits, as a Kafka Connect worker would
 * have sent it to Kafka, one JSON object per line: topic, partition, key, value, headers, timestamp.
 *
 * <p>usage: {@code Capture OUTPUT_DIRECTORY COMMON.properties VARIANT.properties...}
 *
 * <p>The records of {@code x.properties} go to {@code OUTPUT_DIRECTORY/x.jsonl}. Besides the engine's
 * own settings a variant names the worker's converters ({@code key.converter}, {@code value.converter},
 * {@code header.converter} and what is below them), and {@code capture.until}: topics of which one
 * record for each mention must come by before the engine is stopped; after commas in this order, between
 * blanks in any.
 *
 * <p>Ends with status 0 when every engine has got there, and with 1 when one fails or when standard
 * input ends, which tells that whoever started this is gone or has lost interest.
 */
public final class Capture {

    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] args) throws Exception {
        dieWithStandardInput();
        Path directory = Path.of(args[0]);
        List<Engine> engines = new ArrayList<>();
        for (int i = 2; i < args.length; i++) {
            Properties settings = new Properties();
            load(Path.of(args[1]), settings);
            load(Path.of(args[i]), settings);
            String name = Path.of(args[i]).getFileName().toString().replace(".properties", "");
            engines.add(new Engine(name, settings, directory.resolve(name + ".jsonl")));
        }
        for (Engine engine : engines) {
            new Thread(engine, engine.name).start();
        }
        for (Engine engine : engines) {
            engine.finish();
        }
        // Engines leave threads behind that keep a JVM alive.
        System.exit(0);
    }

    private static void load(Path file, Properties into) throws IOException {
        try (var reader = Files.newBufferedReader(file)) {
            into.load(reader);
        }
    }

    /** The kernel closes a pipe however its other end died, so no engine outlives a test. */
    private static void dieWithStandardInput() {
        Thread watch = new Thread(() -> {
            try {
                while (System.in.read() >= 0) { }
            } catch (IOException gone) {
                // The same as its end.
            }
            Runtime.getRuntime().halt(1);
        }, "watch");
        watch.setDaemon(true);
        watch.start();
    }

    private static void fail(String message, Throwable cause) {
        System.err.println(message);
        if (cause != null) {
            cause.printStackTrace();
        }
        Runtime.getRuntime().halt(1);
    }

    /** One engine, its converters and its file. */
    private static final class Engine implements Runnable, ChangeConsumer<RecordChangeEvent<SourceRecord>> {

        final String name;
        private final DebeziumEngine<RecordChangeEvent<SourceRecord>> engine;
        private final Converter keys;
        private final Converter values;
        private final HeaderConverter headers;
        private final Deque<List<String>> awaited = new ArrayDeque<>();
        private final BufferedWriter out;
        private final CountDownLatch seen = new CountDownLatch(1);
        private final AtomicBoolean closing = new AtomicBoolean();

        Engine(String name, Properties settings, Path file) throws Exception {
            this.name = name;
            keys = converter("key", settings);
            values = converter("value", settings);
            headers = headerConverter(settings);
            for (String stage : settings.getProperty("capture.until").split(",")) {
                awaited.add(new ArrayList<>(List.of(stage.strip().split(" +"))));
            }
            out = Files.newBufferedWriter(file);
            settings.setProperty("name", name);
            // Otherwise engines of one topic prefix wait a minute for each other's metrics to go.
            settings.setProperty("custom.metric.tags", "variant=" + name);
            engine = DebeziumEngine.create(ChangeEventFormat.of(Connect.class))
                    .using(settings)
                    .using((success, message, error) -> {
                        if (!closing.get()) {
                            fail("engine " + name + " ended by itself: " + message, error);
                        }
                    })
                    .notifying(this)
                    .build();
        }

        @Override
        public void run() {
            engine.run();
        }

        void finish() throws Exception {
            seen.await();
            closing.set(true);
            engine.close();
            out.close();
        }

        @Override
        public void handleBatch(
                List<RecordChangeEvent<SourceRecord>> batch,
                RecordCommitter<RecordChangeEvent<SourceRecord>> committer) throws InterruptedException {
            for (RecordChangeEvent<SourceRecord> event : batch) {
                if (!awaited.isEmpty()) {
                    write(event.record());
                }
                committer.markProcessed(event);
            }
            committer.markBatchFinished();
        }

        private void write(SourceRecord record) {
            ObjectNode line = JSON.createObjectNode();
            line.put("topic", record.topic());
            line.put("partition", 0);
            line.put("key", text(keys.fromConnectData(record.topic(), record.keySchema(), record.key())));
            line.put("value", text(values.fromConnectData(record.topic(), record.valueSchema(), record.value())));
            ObjectNode names = line.putObject("headers");
            for (Header header : record.headers()) {
                names.put(header.key(), text(headers.fromConnectHeader(
                        record.topic(), header.key(), header.schema(), header.value())));
            }
            // A producer stamps what comes without a time; Debezium's records do.
            line.put("timestamp", record.timestamp() == null ? System.currentTimeMillis() : record.timestamp());
            try {
                out.write(JSON.writeValueAsString(line));
                out.newLine();
                out.flush();
            } catch (IOException error) {
                fail("cannot write the records of " + name, error);
            }
            awaited.element().remove(record.topic());
            if (awaited.element().isEmpty()) {
                awaited.remove();
            }
            if (awaited.isEmpty()) {
                seen.countDown();
            }
        }

        private static String text(byte[] bytes) {
            return bytes == null ? null : new String(bytes, StandardCharsets.UTF_8);
        }

        /** Configured as in a worker: all settings below {@code <side>.converter.}. */
        private static Converter converter(String side, Properties settings) throws Exception {
            Converter converter = (Converter) instance(settings.getProperty(side + ".converter"));
            converter.configure(below(side + ".converter.", settings), side.equals("key"));
            return converter;
        }

        private static HeaderConverter headerConverter(Properties settings) throws Exception {
            HeaderConverter converter = (HeaderConverter) instance(settings.getProperty("header.converter"));
            Map<String, Object> own = below("header.converter.", settings);
            own.put("converter.type", "header");
            converter.configure(own);
            return converter;
        }

        private static Object instance(String type) throws Exception {
            return Class.forName(type).getDeclaredConstructor().newInstance();
        }

        private static Map<String, Object> below(String prefix, Properties settings) {
            Map<String, Object> own = new HashMap<>();
            for (String key : settings.stringPropertyNames()) {
                if (key.startsWith(prefix)) {
                    own.put(key.substring(prefix.length()), settings.getProperty(key));
                }
            }
            return own;
        }
    }
}
