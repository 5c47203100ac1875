import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Types;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.List;

/**
 * Reads every mart as a BI tool does over JDBC, and writes what it saw as lines of JSON arrays, each with its subject first.
 *
 * Arguments: address, login, and the statements that must be refused. The password is in CITYDATA_PASSWORD. After the first
 * table it says "reading" and waits for a line, so that somebody can release meanwhile.
 */
class ReadMarts {
    private static final int FETCH_SIZE = 50;
    private static final DateTimeFormatter MOMENT = DateTimeFormatter.ofPattern("uuuu-MM-dd'T'HH:mm:ss.SSSSSS");
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    public static void main(String[] arguments) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        String password = System.getenv("CITYDATA_PASSWORD");
        try (Connection connection = DriverManager.getConnection(arguments[0], arguments[1], password)) {
            DatabaseMetaData catalogue = connection.getMetaData();
            say("driver", catalogue.getDriverVersion(), connection.getTransactionIsolation());
            List<String[]> marts = tables(catalogue, "mart\\_%");
            for (String[] mart : marts) {
                describe(catalogue, mart);
            }
            for (String[] table : tables(catalogue, "%")) {
                if (!table[0].equals("pg_catalog") && !table[0].equals("information_schema")) {
                    say("listed", name(table), refused(connection, "SELECT 1 FROM " + name(table) + " LIMIT 1"));
                }
            }
            for (int place = 2; place < arguments.length; place++) {
                say("write", arguments[place], refused(connection, arguments[place]));
            }
            connection.setAutoCommit(false);
            for (String[] mart : marts) {
                rows(connection, catalogue, mart);
                if (mart == marts.get(0)) {
                    say("reading");
                    in.readLine();
                }
            }
            connection.commit();
        }
    }

    private static List<String[]> tables(DatabaseMetaData catalogue, String schemas) throws SQLException {
        List<String[]> found = new ArrayList<>();
        try (ResultSet row = catalogue.getTables(null, schemas, "%", new String[] {"TABLE", "VIEW"})) {
            while (row.next()) {
                found.add(new String[] {row.getString("TABLE_SCHEM"), row.getString("TABLE_NAME"), row.getString("REMARKS")});
            }
        }
        return found;
    }

    private static String name(String[] table) {
        return "\"" + table[0] + "\".\"" + table[1] + "\"";
    }

    private static void describe(DatabaseMetaData catalogue, String[] mart) throws SQLException {
        say("table", name(mart), mart[2]);
        try (ResultSet row = catalogue.getColumns(null, mart[0], mart[1], "%")) {
            while (row.next()) {
                say("column", name(mart), row.getString("COLUMN_NAME"), row.getString("TYPE_NAME"), row.getInt("DATA_TYPE"),
                    row.getInt("COLUMN_SIZE"), row.getInt("DECIMAL_DIGITS"), row.getString("REMARKS"));
            }
        }
    }

    private static void rows(Connection connection, DatabaseMetaData catalogue, String[] mart) throws SQLException {
        List<String> key = new ArrayList<>();
        try (ResultSet row = catalogue.getPrimaryKeys(null, mart[0], mart[1])) {
            while (row.next()) {
                key.add("\"" + row.getString("COLUMN_NAME") + "\"");
            }
        }
        try (Statement statement = connection.createStatement()) {
            statement.setFetchSize(FETCH_SIZE);
            String query = "SELECT * FROM " + name(mart) + " ORDER BY " + String.join(", ", key);
            try (ResultSet row = statement.executeQuery(query)) {
                ResultSetMetaData columns = row.getMetaData();
                while (row.next()) {
                    Object[] values = new Object[columns.getColumnCount() + 2];
                    values[0] = "row";
                    values[1] = name(mart);
                    for (int place = 1; place <= columns.getColumnCount(); place++) {
                        values[place + 1] = value(row, place, columns.getColumnType(place), columns.getColumnTypeName(place));
                    }
                    say(values);
                }
            }
        }
    }

    private static Object value(ResultSet row, int place, int type, String typeName) throws SQLException {
        if (row.getObject(place) == null) {
            return null;
        }
        switch (type) {
            case Types.BIT:
            case Types.BOOLEAN:
                return String.valueOf(row.getBoolean(place));
            case Types.INTEGER:
                return String.valueOf(row.getInt(place));
            case Types.NUMERIC:
                return row.getBigDecimal(place).toPlainString();
            case Types.DATE:
                return row.getObject(place, LocalDate.class).toString();
            case Types.TIMESTAMP:
            case Types.TIMESTAMP_WITH_TIMEZONE:
                return MOMENT.format(row.getObject(place, OffsetDateTime.class).withOffsetSameInstant(ZoneOffset.UTC));
            case Types.VARCHAR:
                return row.getString(place);
            default:
                throw new SQLException("no BI tool is known to read the type " + typeName);
        }
    }

    /** The SQL state with which a statement was refused; null when it was not. */
    private static String refused(Connection connection, String statement) {
        try (Statement doing = connection.createStatement()) {
            doing.execute(statement);
            return null;
        } catch (SQLException error) {
            return error.getSQLState();
        }
    }

    private static void say(Object... values) {
        StringBuilder line = new StringBuilder();
        for (Object value : values) {
            line.append(line.length() == 0 ? "[" : ",");
            if (value instanceof String) {
                line.append('"');
                for (char character : ((String) value).toCharArray()) {
                    if (character < ' ' || character == '"' || character == '\\') {
                        line.append(String.format("\\u%04x", (int) character));
                    } else {
                        line.append(character);
                    }
                }
                line.append('"');
            } else {
                line.append(value);
            }
        }
        OUT.println(line.append(']'));
    }
}
