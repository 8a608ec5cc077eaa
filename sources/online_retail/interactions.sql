-- One interaction per invoice: the sum of its lines. An invoice whose number begins with C gives money back; the data set
-- calls it a cancellation, but it is no end of a relation, so it is a return. Lines of price zero (gifts, samples) add
-- nothing. The topic of an invoice names the product family of each line, by the first of these words in its description;
-- postage, fees and lines without such a word have none. Lines without a customer are counter sales and stock corrections: out of scope, like positive invoices that
-- hold nothing but negative quantities. Equal lines of one invoice are the same article sold twice and are kept.
WITH read AS (
    SELECT
        InvoiceNo AS invoice,
        regexp_replace(CustomerID, '\.0$', '') AS customer,
        TRY_CAST(InvoiceDate AS TIMESTAMP) AS occurred,
        TRY_CAST(Quantity AS BIGINT) AS quantity,
        TRY_CAST(Quantity AS BIGINT) * TRY_CAST(UnitPrice AS DECIMAL(18, 4)) AS value,
        CASE
            WHEN NOT regexp_matches(StockCode, '^[0-9]{5}') THEN NULL
            WHEN regexp_matches(Description, '\b(CHRISTMAS|XMAS|NATIVITY|REINDEER|SNOWFLAKE|SNOWMAN|SANTA|ADVENT|WREATH|STOCKING|BAUBLE)', 'i') THEN 'christmas decorations'
            WHEN regexp_matches(Description, '\b(LUNCH|SNACK BOX|BENTO)', 'i') THEN 'lunch bags and boxes'
            WHEN regexp_matches(Description, '\b(PICNIC|COOL ?BAG|COOLER|HAMPER)', 'i') THEN 'picnic'
            WHEN regexp_matches(Description, '\b(JUMBO)', 'i') THEN 'jumbo bags'
            WHEN regexp_matches(Description, '\b(SHOPPER|TOTE|CARRIER)', 'i') THEN 'shopping bags'
            WHEN regexp_matches(Description, '\b(BAGS?\b|RUCKSACK|SATCHEL|BACKPACK)', 'i') THEN 'other bags'
            WHEN regexp_matches(Description, '\b(PURSE|WALLET|PASSPORT|LUGGAGE|TRAVEL)', 'i') THEN 'purses and travel'
            WHEN regexp_matches(Description, '\b(UMBRELLA|PONCHO|PARASOL)', 'i') THEN 'umbrellas'
            WHEN regexp_matches(Description, '\b(T-?LIGHT|TEA-?LIGHT)', 'i') THEN 't-light holders'
            WHEN regexp_matches(Description, '\b(LANTERN)', 'i') THEN 'lanterns'
            WHEN regexp_matches(Description, '\b(CANDLE|INCENSE|SCENT|FRAGRANCE|DIFFUSER|CANDLESTICK)', 'i') THEN 'candles and scents'
            WHEN regexp_matches(Description, '\b(LIGHTS?\b|LAMP|CHANDELIER|TORCH)', 'i') THEN 'lights'
            WHEN regexp_matches(Description, '\b(BUNTING|GARLAND|STREAMER|PAPER CHAIN)', 'i') THEN 'bunting and garlands'
            WHEN regexp_matches(Description, '\b(NAPKIN|SERVIETTE)', 'i') THEN 'napkins'
            WHEN regexp_matches(Description, '\b(PARTY|BALLOON|CONFETTI|CRACKER|STRAWS|BIRTHDAY)', 'i') THEN 'party'
            WHEN regexp_matches(Description, '\b(NECKLACE|BRACELET|EARRING|BROOCH|RING\b|CHARM\b|BEAD|BANGLE|HAIR|PENDANT|JEWEL)', 'i') THEN 'hair and jewellery'
            WHEN regexp_matches(Description, '\b(TRINKET)', 'i') THEN 'trinket boxes'
            WHEN regexp_matches(Description, '\b(MUG)', 'i') THEN 'mugs'
            WHEN regexp_matches(Description, '\b(CUPS?\b|TEA ?POT|TEASPOON|SAUCER|TEACUP|TEA SET|TEA FOR ONE|COFFEE)', 'i') THEN 'cups and tea sets'
            WHEN regexp_matches(Description, '\b(CAKE CASES|CUP ?CAKE)', 'i') THEN 'cake cases'
            WHEN regexp_matches(Description, '\b(CAKE ?STAND|CAKE TIN|CAKE)', 'i') THEN 'cake stands and tins'
            WHEN regexp_matches(Description, '\b(BAKING|CUTTER|MOULD|JELLY|MEASURING|WHISK|SPATULA|SCALES|COOKIE)', 'i') THEN 'baking'
            WHEN regexp_matches(Description, '\b(RECIPE|JAM\b)', 'i') THEN 'recipe boxes and jam'
            WHEN regexp_matches(Description, '\b(BOWL|PLATE|DISH|TRAY|TIER)', 'i') THEN 'bowls and plates'
            WHEN regexp_matches(Description, '\b(JUG|GLASS|TUMBLER|BEAKER|BOTTLE)', 'i') THEN 'jugs and glasses'
            WHEN regexp_matches(Description, '\b(CUTLERY|SPOON|FORK|KNIFE)', 'i') THEN 'cutlery'
            WHEN regexp_matches(Description, '\b(PLACEMAT|COASTER)', 'i') THEN 'placemats and coasters'
            WHEN regexp_matches(Description, '\b(EGG)', 'i') THEN 'egg'
            WHEN regexp_matches(Description, '\b(APRON|OVEN|TEA ?TOWEL)', 'i') THEN 'aprons and tea towels'
            WHEN regexp_matches(Description, '\b(DOIL)', 'i') THEN 'doilies'
            WHEN regexp_matches(Description, '\b(PANTRY|BREAD|BISCUIT|JARS?\b|CONTAINER|CANISTER)', 'i') THEN 'kitchen storage'
            WHEN regexp_matches(Description, '\b(KITCHEN|CHOPPING|PEGS?\b|COLANDER|WASHING UP|POPCORN|RACK)', 'i') THEN 'kitchen tools'
            WHEN regexp_matches(Description, '\b(HOT WATER BOTTLE)', 'i') THEN 'hot water bottles'
            WHEN regexp_matches(Description, '\b(WARMER)', 'i') THEN 'hand warmers'
            WHEN regexp_matches(Description, '\b(CUSHION|QUILT|THROW|BLANKET|CURTAIN|RUGS?\b)', 'i') THEN 'cushions and textiles'
            WHEN regexp_matches(Description, '\b(DOOR ?MAT|MAT\b)', 'i') THEN 'doormats'
            WHEN regexp_matches(Description, '\b(BATH|TOWEL|SOAP)', 'i') THEN 'bath'
            WHEN regexp_matches(Description, '\b(SIGN\b|PLAQUE)', 'i') THEN 'metal signs'
            WHEN regexp_matches(Description, '\b(CHALKBOARD|BLACKBOARD|MEMO|NOTICEBOARD|SLATE)', 'i') THEN 'chalkboards and memo'
            WHEN regexp_matches(Description, '\b(WORD\b|LETTER|ALPHABET)', 'i') THEN 'letters and words'
            WHEN regexp_matches(Description, '\b(KEY FOB|DOORSTOP|KEY)', 'i') THEN 'key fobs and doorstops'
            WHEN regexp_matches(Description, '\b(CLOCK|ALARM)', 'i') THEN 'clocks'
            WHEN regexp_matches(Description, '\b(FRAME|PHOTO|PICTURE|ALBUM)', 'i') THEN 'frames'
            WHEN regexp_matches(Description, '\b(MIRROR)', 'i') THEN 'mirrors'
            WHEN regexp_matches(Description, '\b(WRAP|RIBBON|GIFT TAPE|TISSUE PAPER|GIFT BAG|GIFT TAG)', 'i') THEN 'gift wrap'
            WHEN regexp_matches(Description, '\b(CARDS?\b|ENVELOPE)', 'i') THEN 'cards'
            WHEN regexp_matches(Description, '\b(TISSUE)', 'i') THEN 'tissues'
            WHEN regexp_matches(Description, '\b(NOTEBOOK|PENCIL|PENS?\b|RULER|ERASER|RUBBER|JOURNAL|DIARY|BOOK|CALCULATOR|CHALK)', 'i') THEN 'notebooks and pens'
            WHEN regexp_matches(Description, '\b(STICKER|STAMP|TAPE\b|MAGNET)', 'i') THEN 'stickers and stamps'
            WHEN regexp_matches(Description, '\b(FELTCRAFT|CRAFT|KNITTING|KITS?\b|WOOL|BUTTON|CRAYON|PAINT|CLAY)', 'i') THEN 'craft kits'
            WHEN regexp_matches(Description, '\b(SEWING)', 'i') THEN 'sewing'
            WHEN regexp_matches(Description, '\b(PLASTERS)', 'i') THEN 'plasters'
            WHEN regexp_matches(Description, '\b(DOLL|TEDDY|SOFT TOY|RABBIT|BEAR\b)', 'i') THEN 'dolls and soft toys'
            WHEN regexp_matches(Description, '\b(GAME|PUZZLE|DOMINO|JIGSAW|LUDO|SNAKES|SKITTLE|SKIPPING|SPINNING|YOYO|SOLDIER|PLAY)', 'i') THEN 'games'
            WHEN regexp_matches(Description, '\b(CHILD|TOY|BABY|KIDS|DINOSAUR|CIRCUS|SPACEBOY|GIRL|BOYS?\b)', 'i') THEN 'children'
            WHEN regexp_matches(Description, '\b(MONEY ?BOX|MONEY BANK|PIGGY)', 'i') THEN 'money boxes'
            WHEN regexp_matches(Description, '\b(GARDEN|PLANT|WATERING|SEED|HERB|GNOME|TROWEL|WINDMILL|BIRD)', 'i') THEN 'garden'
            WHEN regexp_matches(Description, '\b(FLOWER|FLORAL|VASE|ROSE)', 'i') THEN 'flowers and vases'
            WHEN regexp_matches(Description, '\b(STORAGE|BOX)', 'i') THEN 'storage boxes'
            WHEN regexp_matches(Description, '\b(TINS?\b)', 'i') THEN 'tins'
            WHEN regexp_matches(Description, '\b(BASKET|CRATE|WICKER)', 'i') THEN 'baskets'
            WHEN regexp_matches(Description, '\b(CABINET|DRAWER|SHELF|CHEST)', 'i') THEN 'cabinets and drawers'
            WHEN regexp_matches(Description, '\b(HOOK|HANGER|KNOB)', 'i') THEN 'hooks and hangers'
            WHEN regexp_matches(Description, '\b(HEART)', 'i') THEN 'heart decorations'
            WHEN regexp_matches(Description, '\b(DECORATION|ORNAMENT|STAR|BELL|HANGING|ANGEL|FAIRY)', 'i') THEN 'hanging decorations'
        END AS family
    FROM lines
)
SELECT
    invoice AS interaction_id,
    customer AS customer_id,
    min(occurred) AS occurred_at,
    CASE WHEN invoice LIKE 'C%' THEN 'return' ELSE 'purchase' END AS kind,
    'web' AS channel,
    CASE WHEN invoice LIKE 'C%' THEN -sum(value) ELSE sum(value) END AS amount,
    CASE
        WHEN invoice LIKE 'C%' THEN 'cancelled order'
        ELSE string_agg(family, '|' ORDER BY family)
    END AS topic,
    CASE
        WHEN customer IS NULL THEN 'no customer on the invoice'
        WHEN invoice NOT LIKE 'C%' AND max(quantity) < 0 THEN 'stock correction'
    END AS out_of_scope,
    CASE
        WHEN bool_or(occurred IS NULL) THEN 'a line without a readable InvoiceDate'
        WHEN bool_or(value IS NULL) THEN 'a line without a readable Quantity or UnitPrice'
    END AS unreadable
FROM read
GROUP BY invoice, customer
