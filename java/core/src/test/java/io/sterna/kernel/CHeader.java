package io.sterna.kernel;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What a C header declares, in the subset of C that sterna.h keeps to: prototypes, structs of scalars
 * and pointers, enumerators and macros with an integer value. Anything else is refused, not skipped.
 */
record CHeader(Map<String, Function> functions, Map<String, List<Variable>> structs, Map<String, Long> constants) {
    /** A parameter or field, or a result without name; the type is written like {@code const float *}. */
    record Variable(String type, String name) {}

    record Function(String result, List<Variable> parameters) {}

    private static final Pattern COMMENT = Pattern.compile("/\\*.*?\\*/|//[^\n]*", Pattern.DOTALL);
    private static final Pattern DIRECTIVE = Pattern.compile("(?m)^[ \t]*#[^\n]*$");
    private static final Pattern MACRO = Pattern.compile("#\\s*define\\s+(\\w+)(\\([^)]*\\))?[ \t]*(.*)");
    private static final Pattern STRUCT = Pattern.compile("(?:typedef\\s+)?struct\\s+(\\w+)\\s*\\{([^}]*)\\}\\s*\\w*\\s*;?");
    private static final Pattern ENUM = Pattern.compile("(?:typedef\\s+)?enum\\s*\\w*\\s*\\{([^}]*)\\}\\s*\\w*\\s*;");
    private static final Pattern PROTOTYPE = Pattern.compile("([\\w\\s]+[\\s*]+)(\\w+)\\s*\\(([^)]*)\\)\\s*;");
    private static final Pattern TYPE = Pattern.compile("(const\\s+)?(?:(?:enum|struct)\\s+)?(\\w+)\\s*(\\**)");
    private static final Pattern DECLARATOR = Pattern.compile("(\\**)\\s*(\\w+)");

    static CHeader parse(String header) {
        CHeader parsed = new CHeader(new LinkedHashMap<>(), new LinkedHashMap<>(), new LinkedHashMap<>());
        String rest = COMMENT.matcher(header).replaceAll(" ").replace("\\\n", " ");
        rest = take(rest, DIRECTIVE, m -> parsed.addMacro(m.group().strip()));
        rest = rest.replaceFirst("extern\\s+\"C\"\\s*\\{", "").replaceFirst("\\}\\s*$", "").replace("STERNA_API", "");
        rest = take(rest, STRUCT, m -> parsed.structs.put(m.group(1), fields(m.group(2))));
        rest = take(rest, ENUM, m -> parsed.addEnumerators(m.group(1)));
        rest = take(rest, PROTOTYPE, m -> parsed.functions.put(m.group(2), function(m.group(1), m.group(3))));
        if (!rest.isBlank()) {
            throw new IllegalArgumentException("not a declaration that this parser reads: " + rest.strip());
        }
        return parsed;
    }

    /** Hands every match to the taker and returns the text without them. */
    private static String take(String text, Pattern pattern, Consumer<Matcher> taker) {
        Matcher matcher = pattern.matcher(text);
        StringBuilder rest = new StringBuilder();
        while (matcher.find()) {
            taker.accept(matcher);
            matcher.appendReplacement(rest, "");
        }
        return matcher.appendTail(rest).toString();
    }

    /** Include guards have no value, and STERNA_API and function-like macros have none that Java could use. */
    private void addMacro(String directive) {
        Matcher macro = MACRO.matcher(directive);
        if (macro.matches() && macro.group(2) == null && !macro.group(3).isBlank() && !macro.group(1).equals("STERNA_API")) {
            constants.put(macro.group(1), Long.decode(macro.group(3).strip()));
        }
    }

    private void addEnumerators(String body) {
        long next = 0;
        for (String enumerator : body.split(",")) {
            String[] nameAndValue = enumerator.split("=");
            if (nameAndValue.length == 2) {
                next = Long.decode(nameAndValue[1].strip());
            }
            if (!enumerator.isBlank()) {
                constants.put(nameAndValue[0].strip(), next++);
            }
        }
    }

    private static List<Variable> fields(String body) {
        List<Variable> fields = new ArrayList<>();
        for (String declaration : body.split(";")) {
            if (declaration.isBlank()) {
                continue;
            }
            String[] declarators = declaration.split(",");
            Variable first = variable(declarators[0]);
            fields.add(first);
            for (int i = 1; i < declarators.length; i++) {
                Matcher more = match(DECLARATOR, declarators[i]);
                String base = first.type.replace("*", "").strip();
                fields.add(new Variable(type(base + more.group(1)), more.group(2)));
            }
        }
        return fields;
    }

    private static Function function(String result, String parameters) {
        List<Variable> variables = new ArrayList<>();
        if (!parameters.isBlank() && !parameters.strip().equals("void")) {
            for (String parameter : parameters.split(",")) {
                variables.add(variable(parameter));
            }
        }
        return new Function(type(result), variables);
    }

    private static Variable variable(String declaration) {
        String text = declaration.strip();
        int name = text.length();
        while (name > 0 && Character.isJavaIdentifierPart(text.charAt(name - 1))) {
            name--;
        }
        return new Variable(type(text.substring(0, name)), text.substring(name));
    }

    private static String type(String text) {
        Matcher type = match(TYPE, text);
        return (type.group(1) == null ? "" : "const ") + type.group(2) + (type.group(3).isEmpty() ? "" : " " + type.group(3));
    }

    private static Matcher match(Pattern pattern, String text) {
        Matcher matcher = pattern.matcher(text.strip());
        if (!matcher.matches()) {
            throw new IllegalArgumentException("cannot read '" + text.strip() + "'");
        }
        return matcher;
    }
}
