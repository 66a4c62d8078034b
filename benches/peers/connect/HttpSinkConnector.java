import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.ConfigDef.Importance;
import org.apache.kafka.common.config.ConfigDef.Type;
import org.apache.kafka.connect.connector.Task;
import org.apache.kafka.connect.sink.SinkConnector;

/** The least connector that posts batches of events; what it does is in its task. */
public final class HttpSinkConnector extends SinkConnector {
    private Map<String, String> settings;

    @Override
    public void start(Map<String, String> its) {
        settings = its;
    }

    @Override
    public Class<? extends Task> taskClass() {
        return HttpSinkTask.class;
    }

    @Override
    public List<Map<String, String>> taskConfigs(int tasks) {
        List<Map<String, String>> all = new ArrayList<>();
        for (int n = 0; n < tasks; n++) {
            all.add(settings);
        }
        return all;
    }

    @Override
    public void stop() {}

    @Override
    public ConfigDef config() {
        return new ConfigDef()
                .define("http.url", Type.STRING, Importance.HIGH, "where to post")
                .define("http.gzip", Type.BOOLEAN, Importance.LOW, "whether bodies are compressed")
                .define("batch.max.events", Type.INT, Importance.HIGH, "events in a request")
                .define("batch.linger.ms", Type.LONG, Importance.HIGH, "how long a batch may fill")
                .define("requests.max", Type.INT, Importance.HIGH, "requests at once")
                .define("debezium", Type.BOOLEAN, Importance.HIGH, "whether records are envelopes");
    }

    @Override
    public String version() {
        return "0";
    }
}
